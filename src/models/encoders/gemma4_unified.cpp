// Gemma 4 without encoders (12B): squares of 48 x 48 pixels and 40 ms of samples are projected as
// they are, and the text model does the rest. transformers' modeling_gemma4_unified.
#include "models/encoders/gemma4_unified.h"

#include <cstring>

#include "models/encoders/gemma4_image.h"
#include "models/encoders/processor_config.h"
#include "models/states.h"
#include "tallow/error.h"
#include "tallow/nn.h"

namespace tallow {
namespace {

/// A section of the configuration; null where the checkpoint lacks it, or `weight`.
std::optional<Config> section(const Checkpoint& checkpoint, const char* key, const char* weight) {
  const Json* found = checkpoint.config.find(key);
  if (!found || !found->is_object() || !checkpoint.weights.contains(weight)) return {};
  return Config(*found, str(checkpoint.config.what(), ": ", key));
}

struct LayerNorm {
  Tensor weight, bias;

  LayerNorm(const Weights& w, int64_t dim)
      : weight(w.get("weight", {dim}).to(DType::f32)), bias(w.get("bias", {dim}).to(DType::f32)) {}
  Tensor operator()(const Tensor& x) const { return layer_norm(x, weight.shape(), weight, bias); }
};

/// The norm without weight and the projection that images and sounds end with.
struct Projector {
  nn::Linear embedding_projection;
  double eps;

  Projector(const Weights& w, const Config& c, int64_t from, int64_t to)
      : embedding_projection(w / "embedding_projection", from, to),
        eps(c.number_or("rms_norm_eps", 1e-6)) {}
  Tensor operator()(const Tensor& x) const {
    return embedding_projection(rms_norm(x, {x.size(1)}, {}, eps));
  }
};

class Images : public Gemma4ImageEncoder {
 public:
  Images(const Checkpoint& checkpoint, const Weights& w, const Config& c, int64_t hidden)
      : Gemma4ImageEncoder(checkpoint, Gemma4ImageProcessor::Patches::merged),
        dim_(c.integer_or("mm_embed_dim", 3840, 1, 1 << 16)),
        places_(c.integer_or("mm_posemb_size", 1120, 1, 1 << 20)),
        features_(features(c)),
        patch_ln1_(w / "patch_ln1", features_),
        patch_ln2_(w / "patch_ln2", dim_),
        pos_norm_(w / "pos_norm", dim_),
        patch_dense_(w / "patch_dense", features_, dim_, nn::Linear::Bias::required),
        pos_embedding_(w.get("pos_embedding", {places_, 2, dim_}).reshape({2 * places_, dim_})),
        projector_(checkpoint.weights / "model.embed_vision", c, dim_, hidden) {}

  Tensor encode(const ImageInput& input, Tensors* states) const override {
    check_patches(input, features_, places_);
    Tensor x = patch_ln2_(patch_dense_(patch_ln1_(input.pixels)));
    for (int64_t axis = 0; axis < 2; ++axis) {
      // The table has a row for each axis of a place.
      x = x + embedding_rows(pos_embedding_, input.positions.select(1, axis) * 2 + axis);
    }
    x = pos_norm_(x);
    keep(states, x);
    return projector_(x);
  }

 private:
  static int64_t features(const Config& c) {
    const int64_t side =
        c.integer_or("patch_size", 16, 1, 1024) * c.integer_or("pooling_kernel_size", 3, 1, 64);
    return side * side * 3;
  }

  int64_t dim_, places_, features_;
  LayerNorm patch_ln1_, patch_ln2_, pos_norm_;
  nn::Linear patch_dense_;
  Tensor pos_embedding_;
  Projector projector_;
};

class Sounds : public AudioEncoder {
 public:
  Sounds(const Checkpoint& checkpoint, const Weights& w, const Config& c, int64_t hidden)
      : rate_(processor_config(checkpoint, "feature_extractor")
                  .integer_or("sampling_rate", 16000, 1, 1 << 20)),
        samples_(c.integer_or("audio_embed_dim", 640, 1, 1 << 16)),
        projector_(w, c, samples_, hidden) {}

  int64_t sample_rate() const override { return rate_; }

  /// A token for each `samples_` samples, the last filled up with silence.
  AudioInput prepare(const Tensor& samples) const override {
    if (samples.dtype() != DType::f32 || samples.dim() != 1 || samples.numel() == 0) {
      fail("prepare: the sound is ", samples, "; it needs f32 [samples]");
    }
    const int64_t tokens = (samples.numel() + samples_ - 1) / samples_;
    const Tensor features = Tensor::zeros({tokens, samples_}), from = samples.contiguous();
    std::memcpy(features.raw(), from.raw(), static_cast<size_t>(from.nbytes()));
    return {features, tokens};
  }

  Tensor encode(const AudioInput& input, Tensors* states) const override {
    if (input.features.dim() != 2 || input.features.size(1) != samples_) {
      fail("encode: the features are ", input.features, "; they need f32 [tokens, ", samples_, "]");
    }
    keep(states, input.features);
    return projector_(input.features);
  }

 private:
  int64_t rate_, samples_;
  Projector projector_;
};

}  // namespace

std::unique_ptr<ImageEncoder> make_gemma4_unified_images(const Checkpoint& checkpoint,
                                                         int64_t hidden) {
  const auto c = section(checkpoint, "vision_config", "model.vision_embedder.patch_dense.weight");
  if (!c) return nullptr;
  return std::make_unique<Images>(checkpoint, checkpoint.weights / "model.vision_embedder", *c,
                                  hidden);
}

std::unique_ptr<AudioEncoder> make_gemma4_unified_sounds(const Checkpoint& checkpoint,
                                                         int64_t hidden) {
  const auto c =
      section(checkpoint, "audio_config", "model.embed_audio.embedding_projection.weight");
  if (!c) return nullptr;
  return std::make_unique<Sounds>(checkpoint, checkpoint.weights / "model.embed_audio", *c, hidden);
}

}  // namespace tallow
