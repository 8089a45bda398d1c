// What each subcommand was asked to do, as plain data. options.cpp fills it from the command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tallow::app {

/// Which model, and on what it runs.
struct ModelOptions {
  std::string model;
  std::string towers;      ///< an mmproj file, or "" for the one beside the model
  int threads = 0;         ///< 0: the library's default
  std::optional<double> weight_gigabytes;
  int64_t context = 0;     ///< 0: the model's own
  std::string cache_type;  ///< "", "f32", "bf16", "f16", "q8_0" or "q4_0"
  int64_t chunk = 512;     ///< prompt tokens in one pass
  std::string drafter;     ///< "": none
  int64_t draft_tokens = 7;
};

/// Sampling as far as the command line changes the model's defaults.
struct SamplingFlags {
  std::optional<float> temperature, top_p, min_p, typical_p;
  std::optional<float> repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;
  std::vector<std::string> logit_bias;  ///< "ID=VALUE"
};

/// What goes into a chat beside its text.
struct MediaFlags {
  std::vector<std::string> images, sounds, videos;
  std::vector<int64_t> image_tokens;  ///< one for all images, or one each
  bool empty() const { return images.empty() && sounds.empty() && videos.empty(); }
};

struct RunOptions {
  ModelOptions model;
  SamplingFlags sampling;
  MediaFlags media;
  std::optional<std::string> prompt, system, tools;
  std::vector<std::string> stop;
  int64_t max_tokens = -1;
  bool raw = false, stats = false, json = false, think = false;
};

struct LogitsOptions {
  ModelOptions model;
  std::vector<std::string> tokens;  ///< "1,2,3" each
  std::optional<std::string> text, chat;
  int64_t image_tokens = 0;
  std::string out;
  bool last = false, think = false;
};

struct TokenizeOptions {
  std::string model;
  std::optional<std::string> chat, pair;
  bool decode = false, no_special = false, json = false;
};

struct TrainTokenizerOptions {
  std::vector<std::string> files, special;
  std::string type = "bpe", like, stages, out;
  std::optional<int64_t> vocab_size, limit_alphabet, max_token_length;
  std::optional<std::string> prefix, suffix, unk;
  int64_t min_frequency = 0, max_piece_length = 16, sub_iterations = 2;
  double shrinking_factor = 0.75;
  int threads = 0;
};

struct InspectOptions {
  std::string path;
  bool json = false;
};

struct ConvertCommandOptions {
  std::string in, out, dtype, endian = "little";
  double max_shard_gigabytes = 5;
};

struct QuantizeCommandOptions {
  std::string in, out, mix, imatrix, output_type, token_embedding_type;
  std::vector<std::string> tensor_types;  ///< "REGEX=TYPE"
  bool pure = false, requantize = false;
  int threads = 0;
};

struct ImatrixOptions {
  ModelOptions model;
  std::string text, out;
  int64_t chunk = 512, chunks = 0;
  bool output = false;
};

struct BenchOptions {
  ModelOptions model;
  int64_t prefill = 512, decode = 128;
  std::vector<int64_t> contexts = {0, 512};
  std::vector<int64_t> thread_counts;
  bool json = false;
};

struct DownloadOptions {
  std::string repo;
  std::vector<std::string> files, include, exclude;
  std::string revision, repo_type, local_dir;
  bool all = false, dry_run = false, force = false, quiet = false, json = false;
};

struct CacheOptions {
  bool remove = false;
  std::vector<std::string> repos;  ///< to delete
  std::string revision, repo_type;
  bool dry_run = false, json = false;
};

struct Command {
  enum class Kind {
    none,
    run,
    logits,
    tokenize,
    train_tokenizer,
    inspect,
    convert,
    quantize,
    imatrix,
    download,
    cache,
    bench,
  };
  Kind kind = Kind::none;
  RunOptions run;
  LogitsOptions logits;
  TokenizeOptions tokenize;
  TrainTokenizerOptions train_tokenizer;
  InspectOptions inspect;
  ConvertCommandOptions convert;
  DownloadOptions download;
  CacheOptions cache;
  QuantizeCommandOptions quantize;
  ImatrixOptions imatrix;
  BenchOptions bench;
  int exit_code = 0;  ///< for `none`: help was printed (0) or the usage was wrong (2)
};

/// Reads the command line. Help and usage errors are printed here.
Command parse_command(int argc, char** argv);

// The subcommands; each returns the exit code, or throws Error.
int run(const RunOptions& options);
int logits(const LogitsOptions& options);
int tokenize(const TokenizeOptions& options);
int train_tokenizer(const TrainTokenizerOptions& options);
int inspect(const InspectOptions& options);
int convert(const ConvertCommandOptions& options);
int download(const DownloadOptions& options);
int cache(const CacheOptions& options);
int quantize(const QuantizeCommandOptions& options);
int imatrix(const ImatrixOptions& options);
int bench(const BenchOptions& options);

}  // namespace tallow::app
