// Asks a model about an image. Without arguments it makes both: a tiny random Gemma 4, whose answer
// is made of random words, and a picture.
// Usage: describe [MODEL IMAGE QUESTION]
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <tallow/files.h>
#include <tallow/language_model.h>
#include <tallow/ops.h>

using namespace tallow;

namespace {

constexpr const char* kConfig = R"({
  "architectures": ["Gemma4ForConditionalGeneration"], "model_type": "gemma4",
  "boi_token_id": 4, "image_token_id": 5, "eoi_token_id": 6,
  "text_config": {"vocab_size": 32, "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
    "global_head_dim": 32, "hidden_size_per_layer_input": 0,
    "layer_types": ["sliding_attention", "full_attention"], "eos_token_id": 1},
  "vision_config": {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 1,
    "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 16,
    "position_embedding_size": 1120}
})";

constexpr const char* kTokenizerConfig = R"({"chat_template":
  "{% for m in messages %}<|turn> {% for item in m.content %}{{ '<|image|>' if item.type == 'image' else item.text }} {% endfor %}<turn|> {% endfor %}<|turn> "})";

/// A tokenizer of 32 words.
std::string tokenizer() {
  const char* words[] = {
      "<pad>",  "<eos>", "<|turn>", "<turn|>", "<|image>", "<|image|>", "<image|>", "[UNK]",
      "what",   "is",    "this",    "a",       "red",      "green",     "blue",     "square",
      "circle", "cat",   "on",      "under",   "the",      "table",     "bright",   "dark",
      "small",  "large", "with",    "and",     "sky",      "sea",       "house",    "?"};
  Json vocabulary = Json::object();
  Json::Array added;
  for (int64_t id = 0; id < std::ssize(words); ++id) {
    vocabulary.set(words[id], id);
    if (id > 6) continue;
    added.push_back(Json::Object{{"id", id}, {"content", words[id]}, {"special", true}});
  }
  const Json model =
      Json::Object{{"type", "WordLevel"}, {"vocab", std::move(vocabulary)}, {"unk_token", "[UNK]"}};
  const Json pieces = Json::Object{{"type", "Whitespace"}};
  return Json(Json::Object{
                  {"added_tokens", std::move(added)}, {"pre_tokenizer", pieces}, {"model", model}})
      .dump();
}

/// Random weights by the names of the checkpoint.
struct Maker {
  NamedTensors tensors;
  Generator generator{7};

  void matrix(const std::string& name, const Shape& shape) {
    tensors.emplace_back(name + ".weight", randn(shape, generator) / 8);
  }
  void norm(const std::string& name, int64_t size) {
    tensors.emplace_back(name + ".weight", ones({size}));
  }
  /// `inner` stands before ".weight" in matrices.
  void layer(const std::string& name, int64_t hidden, int64_t mlp, int64_t heads, int64_t kv_heads,
             int64_t dim, const std::string& inner) {
    const std::string attention = name + ".self_attn.";
    matrix(attention + "q_proj" + inner, {heads * dim, hidden});
    matrix(attention + "k_proj" + inner, {kv_heads * dim, hidden});
    matrix(attention + "v_proj" + inner, {kv_heads * dim, hidden});
    matrix(attention + "o_proj" + inner, {hidden, heads * dim});
    norm(attention + "q_norm", dim);
    norm(attention + "k_norm", dim);
    matrix(name + ".mlp.gate_proj" + inner, {mlp, hidden});
    matrix(name + ".mlp.up_proj" + inner, {mlp, hidden});
    matrix(name + ".mlp.down_proj" + inner, {hidden, mlp});
    for (const char* which : {".input_layernorm", ".post_attention_layernorm",
                              ".pre_feedforward_layernorm", ".post_feedforward_layernorm"}) {
      norm(name + which, hidden);
    }
  }
};

void make_model(const std::filesystem::path& folder) {
  Maker make;
  const std::string text = "model.language_model", eyes = "model.vision_tower";
  make.matrix(text + ".embed_tokens", {32, 64});
  for (const char* layer : {".layers.0", ".layers.1"}) {
    make.layer(text + layer, 64, 128, 2, 1, 32, "");
    make.tensors.emplace_back(text + layer + ".layer_scalar", ones({1}));
  }
  make.norm(text + ".norm", 64);
  make.matrix(eyes + ".patch_embedder.input_proj", {48, 768});
  make.tensors.emplace_back(eyes + ".patch_embedder.position_embedding_table",
                            randn({2, 1120, 48}, make.generator) / 8);
  make.layer(eyes + ".encoder.layers.0", 48, 96, 3, 3, 16, ".linear");
  make.matrix("model.embed_vision.embedding_projection", {64, 48});

  save_file(make.tensors, (folder / "model.safetensors").string());
  std::ofstream(folder / "config.json") << kConfig;
  std::ofstream(folder / "tokenizer.json") << tokenizer();
  std::ofstream(folder / "tokenizer_config.json") << kTokenizerConfig;
}

/// A red square on blue, as a BMP file of 96 x 64 pixels, 24 bits each.
void make_picture(const std::filesystem::path& path) {
  constexpr int kWidth = 96, kHeight = 64, kSize = 54 + 3 * kWidth * kHeight;
  std::string file = "BM";
  const auto number = [&](uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) file += static_cast<char>(value >> (8 * i));
  };
  for (const uint32_t value : {kSize, 0, 54, 40, kWidth, kHeight}) number(value, 4);
  number(1, 2);   // planes
  number(24, 2);  // bits
  for (int i = 0; i < 6; ++i) number(0, 4);
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      const bool inside = x >= 32 && x < 64 && y >= 16 && y < 48;
      number(inside ? 0xd02020 : 0x3060c0, 3);
    }
  }
  std::ofstream(path, std::ios::binary) << file;
}

}  // namespace

int main(int argc, char** argv) {
  std::string path, picture, question = "what is this ?";
  if (argc > 2) {
    path = argv[1];
    picture = argv[2];
    if (argc > 3) question = argv[3];
  } else {
    const auto folder = std::filesystem::temp_directory_path() / "tallow_example_describe";
    std::filesystem::create_directories(folder);
    make_model(folder);
    make_picture(folder / "picture.bmp");
    path = folder.string();
    picture = (folder / "picture.bmp").string();
    std::cout << "made a tiny random model and a picture in " << path << "\n";
  }

  LanguageModel model(path);
  Json message = Json::object();
  message.set("role", "user");
  message.set("content", Json::Array{Json::Object{{"type", "image"}, {"path", picture}},
                                     Json::Object{{"type", "text"}, {"text", question}}});
  const Prompt prompt = model.chat_prompt(Json::Array{message});
  int64_t soft = 0;
  for (const SoftRun& run : prompt.runs) soft += run.count;
  std::cout << prompt.size() << " tokens, " << soft << " of them of the image\n";

  Session session(model);
  GenerateOptions options{.max_tokens = 12, .sampling = model.default_sampling()};
  options.chat = true;
  if (argc <= 2) {  // words alone
    for (int32_t id = 0; id < 8; ++id) options.sampling.logit_bias.emplace_back(id, -100.0F);
  }
  session.generate(prompt, options, [](std::string_view text) {
    std::cout << text << std::flush;
    return true;
  });
  std::cout << "\n";
}
