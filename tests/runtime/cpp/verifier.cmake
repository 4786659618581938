# Adds programs/verifier.cpp to a build of the cpp/ folder as it is in a bundle:
# cmake -D CMAKE_PROJECT_INCLUDE=verifier.cmake
set(KEXPORT_VERIFIER "${CMAKE_CURRENT_LIST_DIR}/programs/verifier.cpp")
cmake_language(DEFER CALL add_executable verifier "${KEXPORT_VERIFIER}")
cmake_language(DEFER CALL target_link_libraries verifier PRIVATE kexport)
