/// Tensors in the caller's memory, as ONNX Runtime takes them.
#pragma once

#include <vector>

#include "engine.hpp"
#include "ort_library.hpp"

namespace kexport {

/// A session, and the names of its tensors in the manifest's order.
struct OrtModel {
    const OrtApi* api = nullptr;
    OrtHandle<OrtMemoryInfo> memory;
    OrtHandle<OrtSession> session;
    std::vector<const char*> inputs, outputs;
};

/// The tensors of one side. One that was there before, in the same memory and of the same shape, is
/// kept.
class OrtTensors {
  public:
    OrtTensors(const OrtModel& model, const std::vector<const char*>& names);

    /// Take those of the tensors that have data. Throws std::runtime_error.
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

    std::vector<const char*> names;  ///< of what was taken
    std::vector<OrtValue*> values;   ///< what was taken

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

/// `model` must outlive it.
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

/// Throws the Refusal for inputs that ONNX Runtime gave up on.
[[noreturn]] void refuse_ort_run(const Input* inputs, std::size_t count, const char* reason);

}  // namespace kexport
