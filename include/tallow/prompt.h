// What a model is asked: tokens, with images, sounds and videos among them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tallow/audio.h"
#include "tallow/encoders.h"
#include "tallow/json.h"
#include "tallow/models.h"
#include "tallow/tokenizer.h"
#include "tallow/weights.h"

namespace tallow {

/// An image, a sound or a video, as it was read.
struct Media {
  enum class Kind { image, audio, video };
  Kind kind = Kind::image;
  std::vector<Tensor> frames;   ///< u8 [height, width, 3]: the image, or the frames of a video
  std::vector<double> seconds;  ///< when each frame of a video is shown
  int64_t soft_tokens = 0;      ///< that a frame may become at most; 0: the model's own number
  Audio audio;
};

/// Tokens of a prompt in whose place stands what an encoder makes of an image or a sound.
struct SoftRun {
  int64_t start = 0, count = 0;
  std::variant<ImageInput, AudioInput> input;
  int64_t end() const { return start + count; }
};

struct PromptPart;

/// Tokens, of which some stand for soft tokens.
struct Prompt {
  Prompt() = default;
  Prompt(std::vector<int32_t> ids) : tokens(std::move(ids)) {}

  std::vector<int32_t> tokens;
  std::vector<SoftRun> runs;  ///< in rising order, disjoint

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  /// Appends a part that begins where this ends.
  void append(const PromptPart& part);
  /// Forgets what is past the first `count` tokens, and a run that this would cut.
  void truncate(int64_t count);
  /// How many first tokens are the same in both and stand for the same; never inside a run.
  int64_t common_prefix(const Prompt& other) const;
  /// Where a pass of about `count` tokens from `begin` on ends: runs are not cut.
  int64_t pass_end(int64_t begin, int64_t count) const;
};

/// The tokens [begin, end) of a prompt: what a pass takes of it.
struct PromptPart {
  const Prompt* prompt;
  int64_t begin, end;
  std::span<const int32_t> tokens() const {
    return std::span(prompt->tokens)
        .subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  }
};

/// Encodes the runs of the parts, one part per sequence of the batch, and puts them into it.
void place_soft_tokens(std::span<const PromptPart> parts, const CausalLM& network, Batch& batch);

/// How messages become a prompt.
struct ChatRequest {
  std::string folder;                 ///< where relative paths of media begin; "": where we are
  int64_t image_tokens = 0;           ///< that an image becomes at most; 0: the model's own number
  bool add_generation_prompt = true;  ///< the prompt ends where the answer begins
  Json tools;                         ///< a list of JSON schemas of functions, or null
  Json variables;                     ///< an object of what else the template reads, or null
};

/// The images, sounds and videos of messages, in order: content items {"type": "image", "path":
/// ...}, {"type": "audio", ...} and {"type": "video", ...}. An item's "tokens" go before
/// `request.image_tokens`; of videos, the frames of `sampling` are read. Throws Error, naming the
/// file.
std::vector<Media> read_media(const Json& messages, const ChatRequest& request,
                              const FrameSampling& sampling = {});

/// The texts that stand for soft tokens in a prompt, by a model's configuration and tokenizer;
/// empty where it has none.
struct SoftMarks {
  std::string image, image_begin, image_end, video, audio, audio_begin, audio_end;
  SoftMarks() = default;
  SoftMarks(const Config& config, const Tokenizer& tokenizer);
};

/// The prompt of a text in which each mark of an image, a sound or a video stands for the next of
/// `media`, as the towers of `network` prepare them. Throws Error when the text has more or fewer
/// marks than there are media. The model must have towers for these.
Prompt make_prompt(std::string_view text, std::span<const Media> media, const SoftMarks& marks,
                   const CausalLM& network, const Tokenizer& tokenizer, bool add_special_tokens);

}  // namespace tallow
