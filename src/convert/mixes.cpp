// The rules by which llama.cpp gives types to tensors, so that a mix of a name is the same here.
#include "convert/mixes.h"

#include <algorithm>
#include <cstdio>

#include "formats/byte_reader.h"
#include "tallow/error.h"
#include "text/tokenizer/regex.h"

namespace tallow::converting {
namespace {

using enum Mix;

// clang-format off
constexpr MixRow kMixes[] = {
    {iq1_s, "iq1_s", 24, DType::iq1_s},       {iq1_m, "iq1_m", 31, DType::iq1_m},
    {iq2_xxs, "iq2_xxs", 19, DType::iq2_xxs}, {iq2_xs, "iq2_xs", 20, DType::iq2_xs},
    {iq2_s, "iq2_s", 28, DType::iq2_xs},      {iq2_m, "iq2_m", 29, DType::iq2_s},
    {iq3_xxs, "iq3_xxs", 23, DType::iq3_xxs}, {iq3_xs, "iq3_xs", 22, DType::iq3_s},
    {iq3_s, "iq3_s", 26, DType::iq3_s},       {iq3_m, "iq3_m", 27, DType::iq3_s},
    {iq4_xs, "iq4_xs", 30, DType::iq4_xs},    {iq4_nl, "iq4_nl", 25, DType::iq4_nl},
    {q2_k_s, "q2_k_s", 21, DType::q2_k},      {q2_k, "q2_k", 10, DType::q2_k},
    {q3_k_s, "q3_k_s", 11, DType::q3_k},      {q3_k_m, "q3_k_m", 12, DType::q3_k},
    {q3_k_l, "q3_k_l", 13, DType::q3_k},      {q4_0, "q4_0", 2, DType::q4_0},
    {q4_1, "q4_1", 3, DType::q4_1},           {q4_k_s, "q4_k_s", 14, DType::q4_k},
    {q4_k_m, "q4_k_m", 15, DType::q4_k},      {q5_0, "q5_0", 8, DType::q5_0},
    {q5_1, "q5_1", 9, DType::q5_1},           {q5_k_s, "q5_k_s", 16, DType::q5_k},
    {q5_k_m, "q5_k_m", 17, DType::q5_k},      {q6_k, "q6_k", 18, DType::q6_k},
    {q8_0, "q8_0", 7, DType::q8_0},           {q1_0, "q1_0", 40, DType::q1_0},
    {q2_0, "q2_0", 41, DType::q2_0},          {tq1_0, "tq1_0", 36, DType::tq1_0},
    {tq2_0, "tq2_0", 37, DType::tq2_0},       {mxfp4_moe, "mxfp4_moe", 38, DType::mxfp4},
    {nvfp4, "nvfp4", 39, DType::nvfp4},       {f16, "f16", 1, DType::f16},
    {bf16, "bf16", 32, DType::bf16},          {f32, "f32", 0, DType::f32},
};
// clang-format on

/// Short names for the usual ones.
constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"q3_k", "q3_k_m"}, {"q4_k", "q4_k_m"}, {"q5_k", "q5_k_m"}, {"mxfp4", "mxfp4_moe"}};

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// Whether a mix is one of several.
template <class... M>
bool is(Mix mix, M... of) {
  return ((mix == of) || ...);
}

enum class Role { embedding, query, key, value, attention_out, up, gate, down, output, other };

bool is_embedding(std::string_view name) {
  return name == "token_embd.weight" || name == "per_layer_token_embd.weight";
}

Role role_of(std::string_view name) {
  if (name == "output.weight") return Role::output;
  if (is_embedding(name)) return Role::embedding;
  for (const char* value : {"attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight"}) {
    if (has(name, value)) return Role::value;  // what holds values is as sensitive as they are
  }
  if (has(name, "attn_k.weight")) return Role::key;
  if (has(name, "attn_q.weight")) return Role::query;
  if (has(name, "attn_output.weight")) return Role::attention_out;
  if (has(name, "ffn_up")) return Role::up;
  if (has(name, "ffn_gate")) return Role::gate;
  return has(name, "ffn_down") ? Role::down : Role::other;
}

/// Matrices that are small, or that rounding would spoil.
bool can_be_rounded(std::string_view name, const Shape& shape) {
  constexpr std::string_view kKept[] = {
      "_norm.weight",
      "ffn_gate_inp.weight",
      "ffn_gate_tid2eid.weight",
      "altup",
      "laurel",
      "per_layer_model_proj",
      "ssm_conv1d",
      "shortconv.conv.weight",
      "indexer.k_proj.weight",
      "indexer.q_proj.weight",
      "time_mix_first.weight",
      "time_mix_w0.weight",
      "time_mix_w1.weight",
      "time_mix_w2.weight",
      "time_mix_v0.weight",
      "time_mix_v1.weight",
      "time_mix_v2.weight",
      "time_mix_a0.weight",
      "time_mix_a1.weight",
      "time_mix_a2.weight",
      "time_mix_g1.weight",
      "time_mix_g2.weight",
      "time_mix_decay_w1.weight",
      "time_mix_decay_w2.weight",
      "attn_rel_b.weight",
      "time_mix_lerp_fused.weight",
      ".position_embd",
      "sam.pos_embd",
      "sam.neck.",
      "sam.net_",
      ".rel_pos",
      ".patch_embd",
      ".patch_merger",
      "a.rvq.codebook",
      "mm.a.code_embd",
  };
  int dims = shape.size();
  for (int d = 0; d < shape.size() && shape[d] == 1; ++d) --dims;  // as ggml counts them
  if (dims < 2 || !name.ends_with("weight")) return false;
  if (name == "position_embd.weight" || name == "token_types.weight") return false;
  return std::none_of(std::begin(kKept), std::end(kKept),
                      [name](std::string_view part) { return has(name, part); });
}

/// blk.N. of a name, or -1.
int layer_of(const std::string& name) {
  int layer = -1;
  return std::sscanf(name.c_str(), "blk.%d.", &layer) == 1 ? layer : -1;
}

/// What the rules ask of a model.
struct Facts {
  std::string architecture;
  int64_t layers = 0, heads = 0, kv_heads = 0, experts = 0;
  bool tied = true;

  explicit Facts(const GgufModel& model) {
    const GgufFile& file = *model.metadata;
    architecture = std::string(file.string("general.architecture").value_or(""));
    const auto number = [&](const char* key) { return first(file, architecture + "." + key); };
    layers = number("block_count");
    heads = number("attention.head_count");
    const int64_t kv = number("attention.head_count_kv");
    kv_heads = kv > 0 ? kv : heads;
    experts = number("expert_count");
    for (const PlannedTensor& t : model.tensors) tied &= t.name != "output.weight";
  }

  int64_t grouped() const { return kv_heads > 0 ? heads / kv_heads : 0; }
  bool is_70b() const {
    return layers == 80 &&
           (architecture == "llama" ? heads != kv_heads
                                    : architecture == "qwen2" || architecture == "deci");
  }

 private:
  /// A number, or the first of an array with one for each layer.
  static int64_t first(const GgufFile& file, const std::string& key) {
    const GgufValue* value = file.find_value(key);
    if (!value || value->count == 0) return 0;
    if (!value->is_array) return *file.integer(key);
    return value->type == GgufType::i32 ? file.integers(key)[0] : 0;
  }
};

class Chooser {
 public:
  Chooser(const Facts& facts, const MixRow& row, const QuantizeOptions& options, bool importance)
      : f_(facts), row_(row), mix_(row.mix), options_(options), importance_(importance) {
    for (const auto& [pattern, dtype] : options.tensor_types) patterns_.emplace_back(pattern);
  }

  void count_values(int n) { values_ = n; }

  DType choose(const PlannedTensor& t) {
    const Role role = role_of(t.name);
    if (!can_be_rounded(t.name, t.shape)) return t.dtype;
    if (options_.token_embedding_type && role == Role::embedding) {
      return *options_.token_embedding_type;
    }
    if (options_.output_type && role == Role::output) return *options_.output_type;
    if (!is_block(row_.base)) return row_.base;
    DType dtype = row_.base;
    const std::optional<DType> asked = overridden(t.name);
    if (asked) {
      dtype = *asked;
    } else if (!options_.pure) {
      dtype = by_role(t, role).value_or(row_.base);
    }
    return that_fits(t, dtype);
  }

 private:
  using Choice = std::optional<DType>;

  std::optional<DType> overridden(const std::string& name) const {
    for (size_t i = 0; i < patterns_.size(); ++i) {
      text::Regex::Matcher matcher(patterns_[i], name);
      if (matcher.next()) return options_.tensor_types[i].second;
    }
    return std::nullopt;
  }

  /// Rows that are not whole blocks take a type of smaller blocks and about as many bits.
  static DType that_fits(const PlannedTensor& t, DType dtype) {
    const int64_t k = t.shape.back();
    if (k % info(dtype).block == 0) return dtype;
    DType other = dtype;
    switch (dtype) {
      case DType::q2_0:
      case DType::q2_k:
      case DType::q3_k:
      case DType::tq1_0:
      case DType::tq2_0: other = DType::q4_0; break;
      case DType::q4_k: other = DType::q5_0; break;
      case DType::q5_k: other = DType::q5_1; break;
      case DType::q6_k: other = DType::q8_0; break;
      default: other = info(dtype).block == 256 ? DType::iq4_nl : DType::f16;
    }
    return k % info(other).block == 0 ? other : DType::f16;
  }

  Choice by_role(const PlannedTensor& t, Role role) {
    if (role == Role::output || (f_.tied && role == Role::embedding)) return for_output(t);
    if (mix_ == mxfp4_moe) return t.shape.size() > 2 ? DType::mxfp4 : DType::q8_0;
    if (role == Role::embedding) return for_embedding();
    if (is(mix_, iq2_xxs, iq2_xs, iq1_s, iq2_s, iq2_m, iq1_m)) return for_tiny_mixes(role);
    switch (role) {
      case Role::value: return for_value();
      case Role::key:
      case Role::query: return for_query_or_key(role);
      case Role::down: return for_down(layer_for(down_++, t.name));
      case Role::attention_out: return for_attention_out();
      case Role::gate: return for_gate_or_up(layer_for(gate_++, t.name));
      case Role::up: return for_gate_or_up(layer_for(up_++, t.name));
      default: return std::nullopt;
    }
  }

  /// Experts stand in no order, so that the name must say the layer.
  int64_t layer_for(int64_t counted, const std::string& name) const {
    if (f_.experts <= 1) return counted;
    const int layer = layer_of(name);
    if (layer < 0 || layer >= f_.layers) {
      fail("quantize: tensor ", quoted(name), " is in none of the model's ", f_.layers, " layers");
    }
    return layer;
  }

  bool falcon() const { return f_.architecture == "falcon"; }
  static bool gets_more_bits(int64_t i, int64_t n) {
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
  }

  Choice for_output(const PlannedTensor& t) const {
    if (options_.output_type) return options_.output_type;
    if (mix_ == mxfp4_moe || falcon() || t.shape.back() % info(row_.base).block != 0) {
      return DType::q8_0;
    }
    if (is(mix_, iq2_xxs, iq2_xs, iq3_xxs, iq1_s, iq2_s, iq2_m, iq1_m)) return DType::q5_k;
    return row_.base == DType::q8_0 ? DType::q8_0 : DType::q6_k;
  }

  Choice for_embedding() const {
    if (is(mix_, iq2_xxs, iq2_xs, iq1_s, iq1_m)) return DType::q2_k;
    if (is(mix_, iq2_s, iq2_m, iq3_xxs)) return DType::iq3_s;
    if (is(mix_, tq1_0, tq2_0, q2_0)) return DType::q4_k;
    return std::nullopt;
  }

  Choice for_tiny_mixes(Role role) {
    const bool larger = is(mix_, iq2_s, iq2_m);
    const DType better = larger ? DType::iq3_s : DType::q2_k;
    switch (role) {
      case Role::value: return f_.grouped() >= 4 || f_.experts >= 4 ? DType::q4_k : better;
      case Role::key: return f_.experts == 8 ? Choice(DType::q4_k) : std::nullopt;
      case Role::down: return down_++ < f_.layers / 8 ? Choice(better) : std::nullopt;
      case Role::attention_out:
        if (f_.experts == 8) return DType::q5_k;
        if (is(mix_, iq1_s, iq1_m)) return DType::iq2_xxs;
        return larger ? Choice(DType::iq3_s) : std::nullopt;
      default: return std::nullopt;
    }
  }

  Choice for_value() {
    const int64_t i = value_++;
    Choice dtype = by_value_rules(i);
    const DType now = dtype.value_or(row_.base);
    // Eight heads share these rows in a model of 70B parameters: more bits cost next to nothing.
    if (f_.is_70b() && (now == DType::q3_k || now == DType::q4_k)) dtype = DType::q5_k;
    return f_.experts == 8 ? DType::q8_0 : dtype;
  }

  Choice by_value_rules(int64_t i) const {
    const bool grouped = f_.grouped() >= 4;
    switch (mix_) {
      case q2_k: return grouped ? DType::q4_k : DType::q3_k;
      case iq3_xxs: return grouped ? DType::q4_k : importance_ ? DType::iq3_xxs : DType::iq3_s;
      case q2_k_s:
      case iq3_xs:
      case iq3_s: return grouped ? Choice(DType::q4_k) : std::nullopt;
      case iq3_m: return DType::q4_k;
      case q3_k_m: return i < 2 ? DType::q5_k : DType::q4_k;
      case q3_k_l: return DType::q5_k;
      case iq4_nl:
      case iq4_xs: return grouped ? Choice(DType::q5_k) : std::nullopt;
      case q4_k_m:
      case q5_k_m: return gets_more_bits(i, values_) ? Choice(DType::q6_k) : std::nullopt;
      case q4_k_s: return i < 4 ? Choice(DType::q5_k) : std::nullopt;
      default: return std::nullopt;
    }
  }

  Choice for_query_or_key(Role role) const {
    if (role == Role::key && f_.experts == 8) return DType::q8_0;
    if (mix_ == iq3_xs) return DType::iq3_xxs;
    return mix_ == iq3_xxs ? Choice(DType::iq2_s) : std::nullopt;
  }

  Choice for_down(int64_t i) const {
    const int64_t n = f_.layers;
    const bool first = i < n / 8;
    switch (mix_) {
      case q2_k: return DType::q3_k;
      case q2_k_s: return first ? Choice(DType::q4_k) : std::nullopt;
      case iq3_xxs:
        if (importance_) return std::nullopt;
        return first ? DType::q4_k : DType::q3_k;
      case q3_k_m:
        if (i < n / 16) return DType::q5_k;
        return !falcon() || gets_more_bits(i, n) ? DType::q4_k : DType::q3_k;
      case iq3_m: {
        const bool more = first || (f_.experts == 8 && gets_more_bits(i, n));
        return more ? Choice(DType::q4_k) : std::nullopt;
      }
      case q3_k_l: return falcon() ? DType::q4_k : DType::q5_k;
      case q4_k_m:
        if (falcon() && i >= n / 16) return gets_more_bits(i, n) ? DType::q5_k : DType::q4_k;
        return falcon() || gets_more_bits(i, n) ? Choice(DType::q6_k) : std::nullopt;
      case iq4_nl:
      case iq4_xs: return first && !importance_ ? Choice(DType::q5_k) : std::nullopt;
      case q5_k_m: return gets_more_bits(i, n) ? Choice(DType::q6_k) : std::nullopt;
      case q4_k_s: return first && !falcon() ? Choice(DType::q5_k) : std::nullopt;
      case q4_0: return first && importance_ ? Choice(DType::q4_1) : std::nullopt;
      case q5_0: return first && importance_ ? Choice(DType::q5_1) : std::nullopt;
      default: return std::nullopt;
    }
  }

  Choice for_attention_out() const {
    if (falcon()) return mix_ == q3_k_l ? Choice(DType::q4_k) : std::nullopt;
    if (f_.experts == 8) {
      const bool more = is(mix_, q2_k, iq3_xs, iq3_xxs, q3_k_s, q3_k_m, iq4_nl, q4_k_s, q4_k_m,
                           iq3_s, iq3_m, iq4_xs);
      return more ? Choice(DType::q5_k) : std::nullopt;
    }
    switch (mix_) {
      case q2_k: return DType::q3_k;
      case iq3_xxs: return DType::iq3_s;
      case q3_k_m:
      case iq3_m: return DType::q4_k;
      case q3_k_l: return DType::q5_k;
      default: return std::nullopt;
    }
  }

  Choice for_gate_or_up(int64_t i) const {
    const bool middle = i >= f_.layers / 8 && i < 7 * f_.layers / 8;
    return mix_ == iq3_xs && middle ? Choice(DType::iq3_xxs) : std::nullopt;
  }

  const Facts& f_;
  const MixRow& row_;
  const Mix mix_;
  const QuantizeOptions& options_;
  const bool importance_;
  std::vector<text::Regex> patterns_;
  int64_t values_ = 0, value_ = 0, down_ = 0, gate_ = 0, up_ = 0;
};

bool needs_importance(std::string_view name, DType dtype, Mix mix) {
  if (is_embedding(name) || name == "output.weight") return false;
  switch (dtype) {
    case DType::iq3_xxs:
    case DType::iq2_xxs:
    case DType::iq2_xs:
    case DType::iq2_s:
    case DType::iq1_m:
    case DType::iq1_s: return true;
    case DType::q2_k: return mix == q2_k_s;
    default: return false;
  }
}

}  // namespace

std::span<const MixRow> mixes() { return kMixes; }

const MixRow& find_mix(std::string_view name) {
  std::string wanted(name);
  for (char& c : wanted) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const auto& [alias, row] : kAliases) {
    if (wanted == alias) wanted = row;
  }
  std::string names;
  for (const MixRow& row : kMixes) {
    if (wanted == row.name) return row;
    names += str(names.empty() ? "" : ", ", row.name);
  }
  fail("quantize: ", quoted(name), " is no mix; give one of ", names);
}

std::vector<Choice> choose_types(const GgufModel& model, const QuantizeOptions& options,
                                 bool has_importance) {
  std::vector<const PlannedTensor*> order;
  for (const PlannedTensor& t : model.tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [](const PlannedTensor* a, const PlannedTensor* b) {
    const int x = layer_of(a->name), y = layer_of(b->name);
    return x != y ? x < y : a->name < b->name;
  });
  const MixRow& row = find_mix(options.mix);
  const Facts facts(model);
  Chooser chooser(facts, row, options, has_importance);
  chooser.count_values(static_cast<int>(std::count_if(
      order.begin(), order.end(), [](auto* t) { return role_of(t->name) == Role::value; })));
  std::vector<Choice> choices;
  for (const PlannedTensor* t : order) {
    const DType dtype = chooser.choose(*t);
    choices.push_back({t, dtype, dtype != t->dtype && needs_importance(t->name, dtype, row.mix)});
  }
  return choices;
}

}  // namespace tallow::converting
