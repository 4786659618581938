/// I/O bindings for ONNX Runtime: tensors in the caller's memory.
#pragma once

#include <vector>

#include "ort_library.hpp"
#include "select_engine.hpp"

namespace kexport {

/// A session, and the names of its tensors in the manifest's order.
struct OrtModel {
    const OrtApi* api = nullptr;
    OrtHandle<OrtMemoryInfo> memory;
    OrtHandle<OrtSession> session;
    std::vector<const char*> inputs, outputs;
};

/// The OrtValues of a model's inputs or outputs. A value for the same memory and shape as before is
/// reused.
class OrtTensors {
  public:
    OrtTensors(const OrtModel& model, const std::vector<const char*>& names);

    /// Create the values of the tensors that have data. Throws std::runtime_error.
    template <class Tensor>
    void take(const Tensor* tensors) {
        names.clear();
        values.clear();
        for (std::size_t at = 0; at < held_.size(); ++at) {
            if (tensors[at].data == nullptr) continue;
            values.push_back(value(held_[at], tensors[at].dtype,
                                   const_cast<void*>(tensors[at].data), tensors[at].shape));
            names.push_back(every_name_[at]);
        }
    }

    std::vector<const char*> names;  ///< the names of the tensors taken
    std::vector<OrtValue*> values;   ///< the values of the tensors taken

  private:
    struct Held {
        OrtHandle<OrtValue> value;
        const void* data = nullptr;
        Shape shape;
    };

    OrtValue* value(Held& held, DType dtype, void* data, const Shape& shape) const;

    const OrtModel& model_;
    const std::vector<const char*>& every_name_;
    std::vector<Held> held_;
};

/// A binding to a session of ONNX Runtime. `model` must outlive it.
class OrtBinding : public Binding {
  public:
    explicit OrtBinding(const OrtModel& model);

    void bind(const Input* inputs, const Output* outputs) override;
    void run() override;

  private:
    const OrtModel& model_;
    std::vector<Input> given_;
    OrtTensors inputs_, outputs_;
};

/// Throw the Refusal for inputs on which ONNX Runtime failed.
[[noreturn]] void refuse_ort_run(const Input* inputs, std::size_t count, const char* reason);

}  // namespace kexport
