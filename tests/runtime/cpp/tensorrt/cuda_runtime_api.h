/// The one name of CUDA's header that the runtime uses, for tests without CUDA.
#pragma once

using cudaStream_t = struct CUstream_st*;
