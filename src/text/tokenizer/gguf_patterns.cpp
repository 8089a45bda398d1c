// The pre-tokenizers that GGUF names: patterns by llama.cpp's names.
#include "tallow/error.h"
#include "text/tokenizer/stages.h"

namespace tallow::text {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = R"(\p{N}{1,3})";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepseek3Han = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
constexpr std::string_view kDeepseek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kCoderHan = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
constexpr std::string_view kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";
constexpr std::string_view kBailing =
    R"('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDefaultPunctuation = R"([\p{P}\$\+<=>\^~\|]+)";
constexpr std::string_view kFalconPunctuation = R"([\p{P}\$\+<=>\^~\|`]+)";

/// What a GGUF pre-tokenizer name stands for: the patterns that isolate pieces, in order.
struct GgufRow {
  std::string_view names;  // separated by spaces
  std::string_view patterns[5];
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;
};
constexpr GgufRow kGguf[] = {
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
     {kLlama3},
     false,
     true,
     true},
    {"dbrx smaug-bpe chatglm-bpe glm4", {kLlama3}},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", {kDigit, kGpt2}},
    {"gpt-2 phi-2 mpt olmo jais mellum modern-bert exaone4 trillion gigachat a.x-4.0 "
     "granite-docling roberta-bpe jina-v1-en jina-v2-code jina-es jina-de jina-v2-es jina-v2-de",
     {kGpt2}},
    {"qwen2 deepseek-r1-qwen megrez", {kQwen2}, true},
    {"stablelm2 hunyuan grok-2 solar-open", {kQwen2}},
    {"tekken", {kTekken}, false, true, true},
    {"gpt-4o llama4 kanana2 minimax-m2", {kGpt4o}},
    {"deepseek-v3 hunyuan-dense", {kThreeDigits, kDeepseek3Han, kDeepseek3}},
    {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kCoderHan, kDigit}},
    {"poro-chat bloom gpt3-finnish", {kBloom}},
    {"viking", {kBloom, kDigit}},
    {"bailingmoe bailingmoe2 llada-moe", {kBailing}},
    {"seed-coder", {kSeedCoder}},
    {"superbpe", {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
    {"falcon", {kFalconPunctuation, kGpt2, "[0-9][0-9][0-9]"}},
    {"default", {kDefaultPunctuation, kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
};

bool lists(std::string_view names, std::string_view wanted) {
  bool found = false;
  for_each_name(names, [&](std::string_view name) { found |= name == wanted; });
  return found;
}

}  // namespace

Json byte_level_pre_tokenizer(std::span<const std::string_view> patterns) {
  Json::Array steps;
  for (const std::string_view pattern : patterns) {
    steps.emplace_back(Json::Object{{"type", "Split"},
                                    {"pattern", Json::Object{{"Regex", pattern}}},
                                    {"behavior", "Isolated"},
                                    {"invert", false}});
  }
  steps.emplace_back(Json::Object{{"type", "ByteLevel"},
                                  {"add_prefix_space", false},
                                  {"trim_offsets", true},
                                  {"use_regex", false}});
  return Json::Object{{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

Json byte_level_decoder() {
  return Json::Object{{"type", "ByteLevel"},
                      {"add_prefix_space", true},
                      {"trim_offsets", true},
                      {"use_regex", true}};
}

GgufPreTokenizer gguf_pre_tokenizer(std::string_view pre) {
  const std::string_view name = pre.empty() ? "default" : pre;
  for (const GgufRow& row : kGguf) {
    if (!lists(row.names, name)) continue;
    GgufPreTokenizer result{{}, row.nfc, row.ignore_merges, row.add_bos};
    for (const std::string_view pattern : row.patterns) {
      if (!pattern.empty()) result.patterns.push_back(pattern);
    }
    return result;
  }
  std::string known;
  for (const GgufRow& row : kGguf) known += str(known.empty() ? "" : " ", row.names);
  fail("tokenizer.ggml.pre: the pre-tokenizer ", name, " is not known; known are ", known);
}

}  // namespace tallow::text
