// Gemma 4's ears: features, convolutions that halve them twice, a conformer, and the projector.
// transformers' modeling_gemma4.
#include "models/encoders/gemma4_audio.h"

#include <algorithm>

#include "models/encoders/gemma4_conformer.h"
#include "models/encoders/gemma4_mel.h"
#include "models/encoders/processor_config.h"
#include "tallow/error.h"
#include "tallow/nn.h"

namespace tallow {
namespace {

/// A convolution that halves both sides, a norm over the channels, relu: [frames, mels, in] to
/// [frames / 2, mels / 2, out]. Channels stay last, so that the convolution is a product with
/// patches, and the norm is of rows.
struct Subsampling {
  Tensor conv, norm;  // [out, 9 in] and [out]
  double eps;

  Subsampling(const Weights& w, const ConformerConfig& c, int64_t in, int64_t out)
      : conv(w.get("conv.weight", {out, in, 3, 3})
                 .to(DType::f32)
                 .permute({0, 2, 3, 1})
                 .reshape({out, 9 * in})),
        norm(w.get("norm.weight", {out}).to(DType::f32)),
        eps(c.eps) {}
  Tensor operator()(const Tensor& x) const {
    constexpr int64_t kAtOnce = 64;  // frames whose patches lie in a cache
    const Tensor padded = pad(x, {0, 0, 1, 1, 1, 1});
    const int64_t frames = (x.size(0) + 1) / 2;
    Tensors parts;
    for (int64_t at = 0; at < frames; at += kAtOnce) {
      const int64_t count = std::min(kAtOnce, frames - at);
      const Tensor rows = padded.narrow(0, 2 * at, 2 * count + 1);
      const Tensor patches = unfold(unfold(rows, 0, 3, 2), 1, 3, 2).permute({0, 1, 3, 4, 2});
      const Tensor y = linear(patches.reshape({-1, conv.size(1)}), conv);
      parts.push_back(
          relu(layer_norm(y, norm.shape(), norm, {}, eps)).view({count, patches.size(1), -1}));
    }
    return cat(parts);
  }
};

class Gemma4Audio : public AudioEncoder {
 public:
  Gemma4Audio(const Config& config, const Config& extractor, const Weights& tower,
              const Weights& projector, int64_t hidden)
      : c_(config),
        mel_(extractor),
        subsampling_{Subsampling(tower / "subsample_conv_projection.layer0", c_, 1, c_.channels[0]),
                     Subsampling(tower / "subsample_conv_projection.layer1", c_, c_.channels[0],
                                 c_.channels[1])},
        input_proj_(tower / "subsample_conv_projection.input_proj_linear",
                    c_.channels[0] / 4 * c_.channels[1], c_.hidden),
        layers_(tower / "layers", c_),
        output_proj_(tower / "output_proj", c_.hidden, c_.output, nn::Linear::Bias::required),
        projection_(projector / "embedding_projection", c_.output, hidden) {}

  int64_t sample_rate() const override { return mel_.sample_rate(); }

  AudioInput prepare(const Tensor& samples) const override {
    const Tensor features = mel_(samples);
    return {features, (features.size(0) + 3) / 4};
  }

  Tensor encode(const AudioInput& input, Tensors* states) const override {
    const Tensor& features = input.features;
    const int64_t quarter = c_.channels[0] / 4;
    if (features.dim() != 2 || (features.size(1) + 3) / 4 != quarter) {
      fail("audio: features are ", to_string(features), "; the tower takes f32 [frames, ",
           4 * quarter, "]");
    }
    if (features.size(0) == 0) return Tensor::empty({0, projection_.weight.size(0)});
    const Tensor x =
        input_proj_(flatten(subsampling_[1](subsampling_[0](features.unsqueeze(2))), 1));
    return projection_(rms_norm(output_proj_(layers_(x, states)), {c_.output}, {}, c_.eps));
  }

 private:
  ConformerConfig c_;
  Gemma4Mel mel_;
  Subsampling subsampling_[2];
  nn::Linear input_proj_;
  Conformer layers_;
  nn::Linear output_proj_, projection_;
};

}  // namespace

std::unique_ptr<AudioEncoder> make_gemma4_audio(const Checkpoint& checkpoint, int64_t hidden) {
  const Json* config = checkpoint.config.find("audio_config");
  if (!config || !config->is_object()) return nullptr;
  for (const char* prefix : {"model.", ""}) {
    const Weights tower = checkpoint.weights / str(prefix, "audio_tower");
    if (!tower.contains("output_proj.weight")) continue;
    return std::make_unique<Gemma4Audio>(
        Config(*config, checkpoint.config.what() + ": audio_config"),
        processor_config(checkpoint, "feature_extractor"), tower,
        checkpoint.weights / str(prefix, "embed_audio"), hidden);
  }
  return nullptr;
}

}  // namespace tallow
