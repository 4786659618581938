/// What a model answers for an image, by its task, and what a caller may change of that. Part of
/// kexport.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "kexport_tensors.hpp"

namespace kexport {

/// One predicted class: its index in the output, its label ("class 7" without labels), and its
/// score.
struct Prediction {
    std::int64_t index = 0;
    std::string label;
    double score = 0.0;
};

/// Yes or no (binary). `score` is that of yes, from 0 to 1; `positive` says whether it reaches
/// `threshold`, and `label` is the label of that answer.
struct Decision {
    std::string label;
    bool positive = false;
    double score = 0.0;
    double threshold = 0.5;
};

/// A number of an answer (regress), and its name: its label, or that of its output, with its place
/// if there are several: "box[2]".
struct Number {
    std::string name;
    double value = 0.0;
};

/// The share of an image that a class covers, from 0 to 1, of the pixels that the model sees.
struct Share {
    std::int64_t index = 0;
    std::string label;
    double share = 0.0;
};

using Color = std::array<std::uint8_t, 3>;  ///< red, green, blue

/// The class of each pixel of an image (segment), row by row, in the image's own size; `unseen` for
/// pixels that are cropped away. `shares` has the classes that occur, the largest first. `palette`
/// has a colour for each class.
struct Mask {
    static constexpr std::uint8_t unseen = 255;

    int width = 0, height = 0;
    std::vector<std::uint8_t> classes;
    std::vector<Share> shares;
    std::vector<Color> palette;
};

/// An object in an image (detect): its class, and its edges in pixels of the image, from its left
/// and top edge.
struct Box {
    std::int64_t index = 0;
    std::string label;
    double score = 0.0;
    double left = 0.0, top = 0.0, right = 0.0, bottom = 0.0;
};

/// An image of a gallery, and the cosine of the angle between its vector and that of the image.
struct Neighbour {
    std::string name;
    double similarity = 0.0;
};

/// The vector of an image (embed), and the nearest images of the gallery, if there is one.
struct Embedding {
    std::vector<double> vector;
    std::vector<Neighbour> neighbours;
};

/// Known images (embed): their names, and their vectors, one after another.
struct Gallery {
    std::vector<std::string> names;
    std::vector<double> vectors;
};

/// An image that the model gives (image), row by row, 1 or 3 bytes (grey, or red, green, blue) for
/// each pixel.
struct OutputImage {
    int width = 0, height = 0, channels = 0;
    std::vector<std::uint8_t> pixels;
};

/// An output of the model for one image (raw): row-major, without the batch axis.
struct RawOutput {
    std::string name;
    DType dtype = DType::float32;
    std::vector<std::int64_t> shape;
    std::vector<unsigned char> data;
};

/// The answer for an image, by task: the best classes (classify), or every label whose score reaches
/// the threshold (multilabel), best first; yes or no (binary); a mask (segment); objects, the best
/// first (detect); numbers (regress); a vector (embed); an image (image); the outputs (raw).
using Answer = std::variant<std::vector<Prediction>, Decision, Mask, std::vector<Box>,
                            std::vector<Number>, Embedding, OutputImage, std::vector<RawOutput>>;

/// What a caller may change of an answer: the number of classes or neighbours (classify, embed; 0 is
/// 5, or as many as the model returns), the threshold (binary, multilabel, detect, and segment with
/// one channel), the largest overlap of two boxes of one class (detect), and the gallery in which
/// the nearest images are found (embed).
struct Settings {
    std::size_t top_k = 0;
    std::optional<double> threshold;
    std::optional<double> iou;
    std::shared_ptr<const Gallery> gallery;
};

}  // namespace kexport
