// The command line: CLI11 is used here alone. Every option's help text is its documentation.
#include "options.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>

#include <CLI/CLI.hpp>

#include "process.h"
#include "tallow/error.h"

namespace tallow::app {
namespace {

constexpr int64_t kMaxTokens = int64_t{1} << 62;

/// A range that NaN is not in, without a note in the help text, where it would push everything else
/// aside.
template <class T>
CLI::Validator in(T low, T high) {
  const auto check = [low, high](std::string& text) -> std::string {
    T value{};
    const bool fits = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
    return fits ? "" : str("Value ", text, " not in range ", low, " to ", high);
  };
  return {check, ""};
}

void add_model(CLI::App& app, ModelOptions& o) {
  app.add_option(
         "MODEL", o.model,
         "A folder as save_pretrained writes it, a .gguf file, a name on the hub (org/name, "
         "org/name@revision, org/name:Q4_K_M), or smollm2")
      ->required();
}

void add_towers(CLI::App& app, ModelOptions& o) {
  app.add_option("--mmproj", o.towers,
                 "The GGUF file of the towers (default: mmproj-NAME.gguf beside NAME.gguf)")
      ->type_name("FILE");
}

void add_machine(CLI::App& app, ModelOptions& o) {
  app.add_option(
         "--cache-type", o.cache_type,
         "Keep keys and values as f32, bf16, f16, q8_0 or q4_0 (default: f32 where the weights are "
         "f32 or f16, else bf16)")
      ->check(CLI::IsMember({"f32", "bf16", "f16", "q8_0", "q4_0"}).description(""))
      ->type_name("TYPE");
  app.add_option("--chunk", o.chunk, "Prompt tokens in one pass (default 512)")
      ->check(in(int64_t{1}, int64_t{1} << 20))
      ->type_name("N");
  app.add_option("--weight-memory", o.weight_gigabytes,
                 "Gigabytes that repacked weights may take; others are read from the file in each "
                 "pass (default: TALLOW_WEIGHT_MEMORY, else 4/5 of the memory)")
      ->check(in(0.0, 1e6))
      ->type_name("GB");
}

void add_threads(CLI::App& app, ModelOptions& o) {
  app.add_option("--threads", o.threads,
                 "Threads to compute with (default: TALLOW_THREADS, else the physical cores)")
      ->check(in(1, 1024))
      ->type_name("N");
}

void add_context(CLI::App& app, ModelOptions& o) {
  app.add_option("--context", o.context,
                 "Tokens to remember, prompt and answer (default: the model's, at most 32768)")
      ->check(in(int64_t{1}, kMaxTokens))
      ->type_name("N");
}

void add_sampling(CLI::App& app, RunOptions& o) {
  SamplingFlags& s = o.sampling;
  const std::string group =
      "Sampling (defaults: the model's generation_config.json or "
      "general.sampling.*, else --temp 0.6 --top-p 0.9)";
  const auto add = [&](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->group(group)->type_name("N");
  };
  add("--temp", s.temperature, "Temperature; 0 takes the likeliest token every time")
      ->check(in(0.0, 1e6));
  add("--top-k", s.top_k, "Sample from the K likeliest tokens; 0 from all")
      ->check(in(0, INT32_MAX));
  add("--top-p", s.top_p, "Sample from the likeliest tokens that sum to P")->check(in(0.0, 1.0));
  add("--min-p", s.min_p, "Drop tokens below P times the likeliest")->check(in(0.0, 1.0));
  add("--typical-p", s.typical_p, "Sample from the most typical tokens that sum to P")
      ->check(in(0.0, 1.0));
  add("--repetition-penalty", s.repetition_penalty,
      "Divide the scores of tokens already seen, prompt included")
      ->check(in(1e-3, 1e3));
  add("--presence-penalty", s.presence_penalty, "Subtract from tokens already answered")
      ->check(in(-100.0, 100.0));
  add("--frequency-penalty", s.frequency_penalty,
      "Subtract from tokens already answered, for each time")
      ->check(in(-100.0, 100.0));
  add("--logit-bias", s.logit_bias, "Add VALUE to the score of token ID; repeatable")
      ->type_name("ID=VALUE")
      ->allow_extra_args(false);
  add("--seed", s.seed, "Seed of the random numbers (default: a random one; --stats prints it)");
  add("--stop", o.stop, "End the answer before this text; repeatable")
      ->type_name("TEXT")
      ->allow_extra_args(false);
}

template <class T>
CLI::Option* add_image_tokens(CLI::App& app, T& value) {
  return app
      .add_option("--image-tokens", value,
                  "What an image may become at most: 70, 140, 280, 560 or 1120 tokens for Gemma 4; "
                  "more see finer and take longer")
      ->type_name("N");
}

CLI::App* add_run(CLI::App& parent, RunOptions& o) {
  CLI::App* app = parent.add_subcommand("run", "Answer a prompt, or chat");
  add_model(*app, o.model);
  app->add_option("-p,--prompt", o.prompt,
                  "The prompt; without one, a chat on a terminal, else "
                  "the prompt is read from standard input");
  app->add_option("-n,--max-tokens", o.max_tokens,
                  "Tokens to answer with at most (default: until the model ends)")
      ->check(in(int64_t{0}, kMaxTokens))
      ->type_name("N");
  app->add_option("--system", o.system, "The system message");
  app->add_option("--image", o.media.images, "An image that the prompt is about; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app->add_option("--audio", o.media.sounds, "A sound that the prompt is about; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app->add_option(
         "--video", o.media.videos,
         "A video that the prompt is about: an animated GIF or WebP, a folder of frames, or "
         "what FFmpeg reads, where it is installed; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
  add_image_tokens(*app, o.media.image_tokens)->delimiter(',');
  app->add_flag("--think", o.think, "Let the model think before it answers, where it can");
  app->add_option("--tools", o.tools, "A JSON file: a list of functions that the model may call")
      ->type_name("FILE");
  app->add_flag("--raw", o.raw, "Continue the prompt as it is, without the chat template");
  app->add_flag("--stats", o.stats, "Print load, first-token, prefill and decode figures");
  app->add_flag("--json", o.json, "Print one JSON object instead of the text");
  app->add_option("--draft", o.model.drafter,
                  "A drafter, as google/gemma-4-E2B-it-assistant: the same answer in fewer passes")
      ->type_name("MODEL");
  app->add_option("--draft-tokens", o.model.draft_tokens, "Tokens drafted at once, at most: 1 to 7")
      ->check(in(int64_t{1}, int64_t{7}))
      ->type_name("N");
  add_sampling(*app, o);
  add_towers(*app, o.model);
  add_threads(*app, o.model);
  add_context(*app, o.model);
  add_machine(*app, o.model);
  app->footer(
      "Examples:\n"
      "  tallow run smollm2\n"
      "  tallow run smollm2 -p \"Why is the sky blue?\" -n 100 --stats\n"
      "  tallow run google/gemma-4-E2B-it -p \"What is this?\" --image photo.jpg\n"
      "  tallow run model.gguf --raw -p \"Once upon a time\" --temp 0\n"
      "  tallow run ./Llama-3.2-1B-Instruct --json < prompt.txt");
  return app;
}

CLI::App* add_logits(CLI::App& parent, LogitsOptions& o) {
  CLI::App* app = parent.add_subcommand("logits", "Write a model's logits as a .npy file");
  add_model(*app, o.model);
  auto* tokens = app->add_option("--tokens", o.tokens,
                                 "Token ids, as 1,2,3; several --tokens run as one ragged batch")
                     ->type_name("IDS")
                     ->allow_extra_args(false);
  auto* text = app->add_option("--text", o.text, "Text, tokenized with its special tokens");
  auto* chat = app->add_option(
      "--chat", o.chat,
      "A JSON file of messages, through the template; their content may be lists with "
      "{\"type\": \"image\", \"path\": ...} and \"audio\", paths from the file's folder");
  add_image_tokens(*app, o.image_tokens);
  app->add_flag("--think", o.think, "Render --chat with thinking turned on")->needs(chat);
  tokens->excludes(text)->excludes(chat);
  text->excludes(chat);
  app->add_option("--out", o.out, "The .npy file to write, f32 [tokens, vocab]")->required();
  app->add_flag("--last", o.last, "Only the last token's logits of each sequence");
  add_towers(*app, o.model);
  add_threads(*app, o.model);
  add_machine(*app, o.model);
  app->footer(
      "Examples:\n"
      "  tallow logits smollm2 --text \"The capital of France is\" --out logits.npy --last\n"
      "  tallow logits ./model --tokens 1,2,3 --tokens 4,5 --out logits.npy\n"
      "  tallow logits smollm2 --chat messages.json --out logits.npy");
  return app;
}

CLI::App* add_tokenize(CLI::App& parent, TokenizeOptions& o) {
  CLI::App* app = parent.add_subcommand("tokenize", "Turn text into token ids, and back");
  app->add_option("MODEL", o.model,
                  "A model's folder, a .gguf file, the name smollm2, or a tokenizer's file: "
                  "tokenizer.json, tokenizer.model, vocab.txt, ...")
      ->required();
  auto* decode = app->add_flag("--decode", o.decode, "Read a JSON list of ids, print their text");
  auto* chat = app->add_option("--chat", o.chat,
                               "Print the prompt that the template makes of a JSON file of "
                               "messages, generation prompt included");
  app->add_flag("--no-special", o.no_special,
                "Add no special tokens around the text; with --decode, leave them out");
  app->add_flag("--json", o.json,
                "Print the tokens, too, what they stand for in the text (in code points) and the "
                "other fields of an encoding");
  app->add_option("--pair", o.pair, "A second text that goes with the first");
  decode->excludes(chat);
  app->footer(
      "Examples:\n"
      "  echo -n \"Hello, world\" | tallow tokenize smollm2\n"
      "  echo \"[19556, 28, 905]\" | tallow tokenize smollm2 --decode\n"
      "  echo -n \"Who?\" | tallow tokenize tokenizer.json --pair \"I am.\" --json\n"
      "  tallow tokenize smollm2 --chat messages.json");
  return app;
}

CLI::App* add_tokenizer(CLI::App& parent, TrainTokenizerOptions& o) {
  CLI::App* app = parent.add_subcommand("tokenizer", "Train a tokenizer on text");
  CLI::App* train = app->add_subcommand("train", "Make a tokenizer.json out of text files");
  app->require_subcommand(1);
  const auto number = [&](const char* name, auto& value, const char* help) {
    return train->add_option(name, value, help)->type_name("N");
  };
  constexpr int64_t kMost = INT64_MAX;
  train->add_option("FILES", o.files, "Text in UTF-8, read line by line")->required();
  train->add_option("-o,--out", o.out, "The tokenizer.json to write")
      ->type_name("FILE")
      ->required();
  train
      ->add_option("--type", o.type,
                   "bpe (the default; byte-level, as GPT-2's), wordpiece (BERT's), unigram "
                   "(SentencePiece's) or wordlevel")
      ->check(CLI::IsMember({"bpe", "wordpiece", "unigram", "wordlevel"}).description(""))
      ->type_name("TYPE");
  number("--vocab-size", o.vocab_size, "Tokens at most (default 30000, for unigram 8000)")
      ->check(in(int64_t{0}, kMost));
  train
      ->add_option(
          "--special", o.special,
          "A special token; repeatable, the first gets id 0 (default: what the model needs: "
          "[UNK] for wordpiece and wordlevel, <unk> for unigram)")
      ->type_name("TOKEN")
      ->allow_extra_args(false);
  train
      ->add_option("--like", o.like,
                   "Take the stages, the model's type and the special tokens of this tokenizer, a "
                   "file or a model's folder, instead of --type's")
      ->type_name("TOKENIZER");
  train
      ->add_option(
          "--stages", o.stages,
          "Replace stages by those of a JSON file, an object as tokenizer.json: normalizer, "
          "pre_tokenizer, post_processor, decoder, and options of the model")
      ->type_name("FILE");
  number("--min-frequency", o.min_frequency, "Pairs and words have to occur that often (default 0)")
      ->check(in(int64_t{0}, kMost));
  number("--limit-alphabet", o.limit_alphabet, "bpe, wordpiece: characters to keep at most")
      ->check(in(int64_t{0}, kMost));
  number("--max-token-length", o.max_token_length, "bpe: join pairs of fewer characters only")
      ->check(in(int64_t{0}, kMost));
  train->add_option("--prefix", o.prefix, "bpe, wordpiece: stands before what continues a word")
      ->type_name("TEXT");
  train->add_option("--suffix", o.suffix, "bpe, wordpiece: stands after what ends a word")
      ->type_name("TEXT");
  train->add_option("--unk", o.unk, "unigram: the unknown token (default <unk>)")
      ->type_name("TOKEN");
  number("--max-piece-length", o.max_piece_length, "unigram: characters of a token (default 16)")
      ->check(in(int64_t{1}, int64_t{1024}));
  number("--shrinking-factor", o.shrinking_factor,
         "unigram: the share of the pieces that a round keeps (default 0.75)")
      ->check(in(0.0, 0.999));
  number("--sub-iterations", o.sub_iterations, "unigram: rounds of EM in each (default 2)")
      ->check(in(int64_t{0}, int64_t{1000}));
  train->add_option("--threads", o.threads, "Threads (default: TALLOW_THREADS, else all cores)")
      ->check(in(1, 1024))
      ->type_name("N");
  train->footer(
      "The vocabulary is the one that the trainers of Hugging Face's tokenizers make.\n"
      "Examples:\n"
      "  tallow tokenizer train book.txt -o tokenizer.json --vocab-size 8000\n"
      "  tallow tokenizer train *.txt -o tokenizer.json --type unigram --special \"<unk>\" "
      "--special \"</s>\"\n"
      "  tallow tokenizer train code/*.py -o tokenizer.json --like ./Llama-3.2-1B "
      "--vocab-size 32000\n"
      "Use it: echo -n \"Hello\" | tallow tokenize tokenizer.json");
  app->footer("Example:\n  tallow tokenizer train book.txt -o tokenizer.json --vocab-size 8000");
  return train;
}

CLI::App* add_inspect(CLI::App& parent, InspectOptions& o) {
  CLI::App* app = parent.add_subcommand("inspect", "List a file's metadata and tensors");
  app->add_option("FILE_OR_MODEL", o.path, "A .gguf, .safetensors or .npy file, or a model")
      ->required();
  app->add_flag("--json", o.json, "Print JSON");
  app->footer(
      "Examples:\n"
      "  tallow inspect smollm2\n"
      "  tallow inspect model.safetensors --json");
  return app;
}

CLI::App* add_convert(CLI::App& parent, ConvertCommandOptions& o) {
  CLI::App* app =
      parent.add_subcommand("convert", "Turn a model or a file of tensors into another format");
  app->add_option("IN", o.in,
                  "A model's folder or .gguf file; or tensors as .safetensors, .pth, .npz, .npy")
      ->required();
  app->add_option("OUT", o.out,
                  "A name ending in .gguf, .safetensors, .pth, .pt, .bin or .npz; else a folder")
      ->required();
  app->add_option("--dtype", o.dtype,
                  "Make matrices f32, f16, bf16, q8_0 ... (default: as they are; quantized ones "
                  "become bf16 or f16 where the format has no such type)")
      ->type_name("TYPE");
  app->add_option("--endian", o.endian, "Byte order of a .gguf file: little (the default) or big")
      ->check(CLI::IsMember({"little", "big"}).description(""))
      ->type_name("ORDER");
  app->add_option("--max-shard-size", o.max_shard_gigabytes,
                  "Gigabytes of one safetensors file of a folder (default 5)")
      ->check(in(1e-6, 1e6))
      ->type_name("GB");
  app->footer(
      "Examples:\n"
      "  tallow convert ./Llama-3.2-1B llama.gguf\n"
      "  tallow convert ./Llama-3.2-1B llama-q8_0.gguf --dtype q8_0\n"
      "  tallow convert model.gguf ./model\n"
      "  tallow convert weights.pth weights.safetensors\n"
      "What IN is, its content says. Mixes such as q4_k_m: tallow quantize.");
  return app;
}

void add_repo_type(CLI::App& app, std::string& type) {
  app.add_option("--repo-type", type, "model (the default), dataset or space")
      ->check(CLI::IsMember({"model", "dataset", "space"}).description(""))
      ->type_name("TYPE");
}

CLI::App* add_download(CLI::App& parent, DownloadOptions& o) {
  CLI::App* app = parent.add_subcommand("download", "Download a model from the hub");
  app->add_option("REPO", o.repo,
                  "org/name, org/name@revision, or org/name:Q4_K_M for one GGUF file; also "
                  "datasets/org/name")
      ->required();
  app->add_option("FILES", o.files,
                  "Files or globs (default: what is needed to run the model, once: no .bin beside "
                  ".safetensors)");
  app->add_option("--include", o.include, "The same as FILES; repeatable")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  app->add_option("--exclude", o.exclude, "Leave these out; repeatable")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  app->add_flag("--all", o.all, "All files of the repository");
  app->add_option("--revision", o.revision, "A branch, tag or commit (default: main)");
  add_repo_type(*app, o.repo_type);
  app->add_option("--local-dir", o.local_dir, "Put the files into this folder, not the cache")
      ->type_name("FOLDER");
  app->add_flag("--dry-run", o.dry_run, "List the files and their sizes; download nothing");
  app->add_flag("--force", o.force, "Download again what is there");
  app->add_flag("-q,--quiet", o.quiet, "Draw no progress bars");
  app->add_flag("--json", o.json, "Print one JSON object instead of the folder's path");
  app->footer(
      "Prints the path of the folder with the files. The cache is the one of Python's\n"
      "huggingface_hub, as are the variables HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN,\n"
      "HF_HUB_OFFLINE; HTTPS_PROXY and NO_PROXY name proxies. What broke off goes on.\n"
      "Examples:\n"
      "  tallow download HuggingFaceTB/SmolLM2-135M-Instruct\n"
      "  tallow download bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M\n"
      "  tallow download org/name config.json \"tokenizer*\"\n"
      "  tallow download org/name@v1.0 --dry-run --all");
  return app;
}

CLI::App* add_cache(CLI::App& parent, CacheOptions& o) {
  CLI::App* app = parent.add_subcommand("cache", "List what was downloaded, and delete from it");
  app->add_flag("--json", o.json, "Print JSON");
  CLI::App* remove = app->add_subcommand("delete", "Delete repositories, or a revision of one");
  remove->add_option("REPO", o.repos, "org/name, org/name@revision, datasets/org/name")->required();
  remove->add_option("--revision", o.revision,
                     "Only this commit (or its beginning), branch or tag, and what no other needs");
  add_repo_type(*remove, o.repo_type);
  remove->add_flag("--dry-run", o.dry_run, "Say what would be deleted; delete nothing");
  remove->parse_complete_callback([&o] { o.remove = true; });
  remove->footer(
      "Examples:\n"
      "  tallow cache delete org/name --dry-run\n"
      "  tallow cache delete org/name --revision 3f2a91c");
  app->footer(
      "Examples:\n"
      "  tallow cache\n"
      "  tallow cache delete HuggingFaceTB/SmolLM2-135M-Instruct");
  return app;
}

CLI::App* add_quantize(CLI::App& parent, QuantizeCommandOptions& o) {
  CLI::App* app = parent.add_subcommand("quantize", "Round a model to fewer bits, as a GGUF file");
  app->add_option("IN", o.in, "A .gguf file, or a folder as save_pretrained writes it")->required();
  app->add_option("OUT", o.out, "The .gguf file to write")->required();
  app->add_option("--type", o.mix,
                  "The mix, as llama.cpp names them: q4_k_m, q5_k_s, q6_k, q8_0, iq4_xs ...")
      ->type_name("MIX")
      ->required();
  app->add_option("--imatrix", o.imatrix,
                  "Importance of the weights' columns, from `tallow imatrix` or llama-imatrix")
      ->type_name("FILE");
  app->add_option("--tensor-type", o.tensor_types,
                  "Give tensors whose name matches REGEX this type; repeatable, the first wins")
      ->type_name("REGEX=TYPE")
      ->allow_extra_args(false);
  app->add_option("--output-type", o.output_type, "The type of output.weight")->type_name("TYPE");
  app->add_option("--token-embedding-type", o.token_embedding_type, "The type of token_embd.weight")
      ->type_name("TYPE");
  app->add_flag("--pure", o.pure, "Give all matrices the mix's main type");
  app->add_flag("--requantize", o.requantize, "Take tensors that are quantized already, too");
  app->add_option("--threads", o.threads, "Threads (default: TALLOW_THREADS, else all cores)")
      ->check(in(1, 1024))
      ->type_name("N");
  app->footer(
      "Examples:\n"
      "  tallow quantize model-f16.gguf model-q4_k_m.gguf --type q4_k_m\n"
      "  tallow quantize ./Llama-3.2-1B llama-iq3_m.gguf --type iq3_m --imatrix imatrix.gguf\n"
      "  tallow quantize in.gguf out.gguf --type q4_k_m --tensor-type \"ffn_down=q6_k\"");
  return app;
}

CLI::App* add_imatrix(CLI::App& parent, ImatrixOptions& o) {
  CLI::App* app = parent.add_subcommand(
      "imatrix", "Measure how much each column of a model's weights matters, for quantize");
  app->add_option("MODEL", o.model.model, "A .gguf file, best in f16 or bf16")->required();
  app->add_option("--text", o.text, "The text to run the model over")
      ->type_name("FILE")
      ->required();
  app->add_option("-o,--out", o.out, "The .gguf file to write")->type_name("FILE")->required();
  app->add_option("--chunk", o.chunk, "Tokens of each independent piece of text (default 512)")
      ->check(in(int64_t{16}, int64_t{1} << 20))
      ->type_name("N");
  app->add_option("--chunks", o.chunks, "Pieces to run at most (default: all)")
      ->check(in(int64_t{1}, kMaxTokens))
      ->type_name("N");
  app->add_flag("--output", o.output, "Measure output.weight, too");
  add_threads(*app, o.model);
  app->footer(
      "Examples:\n"
      "  tallow imatrix model-f16.gguf --text calibration.txt -o imatrix.gguf\n"
      "  tallow quantize model-f16.gguf model-iq2_m.gguf --type iq2_m --imatrix imatrix.gguf");
  return app;
}

CLI::App* add_bench(CLI::App& parent, BenchOptions& o) {
  CLI::App* app = parent.add_subcommand("bench", "Measure prefill and decode beside the machine");
  add_model(*app, o.model);
  app->add_option("--prefill", o.prefill, "Prompt tokens (default 512; 0 leaves the test out)")
      ->check(in(int64_t{0}, int64_t{1} << 24))
      ->type_name("N");
  app->add_option("--decode", o.decode, "Tokens to decode (default 128; 0 leaves the test out)")
      ->check(in(int64_t{0}, int64_t{1} << 24))
      ->type_name("N");
  app->add_option("--context", o.contexts, "Tokens already in the cache, as 0,512 (the default)")
      ->delimiter(',')
      ->check(in(int64_t{0}, int64_t{1} << 24))
      ->type_name("N");
  app->add_option("--threads", o.thread_counts,
                  "Thread counts, as 1,2 (default: 1 and the physical cores)")
      ->delimiter(',')
      ->check(in(1, 1024))
      ->type_name("N");
  app->add_flag("--json", o.json, "Print rows as JSON");
  add_machine(*app, o.model);
  app->footer(
      "Examples:\n"
      "  tallow bench smollm2\n"
      "  tallow bench smollm2 --context 0,512,4096 --threads 1,2 --json");
  return app;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t swap = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({swap, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

/// The option or subcommand that `word` was probably meant to be, as "; did you mean ...?".
std::string suggestion(const CLI::App& app, std::string_view word) {
  word = word.substr(0, std::min(word.find('='), size_t{40}));
  std::string best;
  size_t least = 3;
  const auto consider = [&](const std::string& name) {
    const size_t distance = edit_distance(word, name);
    if (distance < least) least = distance, best = name;
  };
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) consider("--" + name);
  }
  for (const CLI::App* sub : app.get_subcommands({})) consider(sub->get_name());
  return best.empty() ? "" : "; did you mean " + best + "?";
}

int usage_error(const CLI::App& root, const CLI::ParseError& error) {
  const auto chosen = root.get_subcommands();
  const CLI::App& app = chosen.empty() ? root : *chosen.front();
  const std::string name = chosen.empty() ? "tallow" : "tallow " + app.get_name();
  std::string message = error.what();
  auto extras = app.remaining();
  if (extras.empty()) extras = root.remaining();
  if (!extras.empty()) {
    const bool option = extras.front().starts_with('-');
    message = std::string(chosen.empty() && !option ? "unknown command "
                          : option                  ? "unknown option "
                                                    : "unexpected argument ") +
              extras.front() + suggestion(app, extras.front());
  }
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fprintf(stderr, "%s: %s; see '%s --help'\n", name.c_str(), message.c_str(), name.c_str());
  return 2;
}

}  // namespace

Command parse_command(int argc, char** argv) {
  Command command;
  CLI::App root("tallow: language models from the command line", "tallow");
  root.set_version_flag("--version", "tallow " TALLOW_VERSION);
  root.set_help_flag("-h,--help", "Print this help");
  root.require_subcommand(0, 1);
  const CLI::App* run_app = add_run(root, command.run);
  const CLI::App* logits_app = add_logits(root, command.logits);
  const CLI::App* tokenize_app = add_tokenize(root, command.tokenize);
  const CLI::App* tokenizer_app = add_tokenizer(root, command.train_tokenizer);
  const CLI::App* inspect_app = add_inspect(root, command.inspect);
  const CLI::App* convert_app = add_convert(root, command.convert);
  const CLI::App* download_app = add_download(root, command.download);
  const CLI::App* cache_app = add_cache(root, command.cache);
  const CLI::App* quantize_app = add_quantize(root, command.quantize);
  const CLI::App* imatrix_app = add_imatrix(root, command.imatrix);
  const CLI::App* bench_app = add_bench(root, command.bench);
  root.footer(
      "Examples:\n"
      "  tallow run smollm2 -p \"Why is the sky blue?\"\n"
      "  tallow run HuggingFaceTB/SmolLM2-360M-Instruct\n"
      "  tallow run --help\n"
      "Exit codes: 0 success, 1 what was given is wrong, 2 wrong usage.");
  try {
    root.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const CLI::App* asked = &root;
    std::string above;
    while (!asked->get_subcommands().empty()) {
      above += (above.empty() ? "" : " ") + asked->get_name();
      asked = asked->get_subcommands().front();
    }
    write_stdout(above.empty() ? root.help() : asked->help(above));
    return command;
  } catch (const CLI::CallForVersion& e) {
    write_stdout(std::string(e.what()) + "\n");
    return command;
  } catch (const CLI::ParseError& e) {
    command.exit_code = usage_error(root, e);
    return command;
  }
  using Kind = Command::Kind;
  if (run_app->parsed()) command.kind = Kind::run;
  if (logits_app->parsed()) command.kind = Kind::logits;
  if (tokenize_app->parsed()) command.kind = Kind::tokenize;
  if (tokenizer_app->parsed()) command.kind = Kind::train_tokenizer;
  if (inspect_app->parsed()) command.kind = Kind::inspect;
  if (convert_app->parsed()) command.kind = Kind::convert;
  if (download_app->parsed()) command.kind = Kind::download;
  if (cache_app->parsed()) command.kind = Kind::cache;
  if (quantize_app->parsed()) command.kind = Kind::quantize;
  if (imatrix_app->parsed()) command.kind = Kind::imatrix;
  if (bench_app->parsed()) command.kind = Kind::bench;
  if (command.kind == Kind::none) {
    const std::string text = root.help();
    std::fwrite(text.data(), 1, text.size(), stderr);
    command.exit_code = 2;
  }
  return command;
}

}  // namespace tallow::app
