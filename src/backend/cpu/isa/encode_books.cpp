// Encoders of the types with a codebook: the nearest entry is found by comparing all of them, from
// sums over their halves, of which there are few.
#include "backend/cpu/quant/encode.h"
#include "backend/cpu/quant/lanes.h"
#include "core/blocks.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

constexpr int power(int base, int exponent) {
  return exponent == 0 ? 1 : base * power(base, exponent - 1);
}

/// A codebook of `size` entries of `length` elements with `levels` values each.
template <int size_, int length_, int levels_>
struct Book {
  static constexpr int size = size_, length = length_, levels = levels_;
  static constexpr int half = length / 2, halves = power(levels, half);
  static constexpr int bits = length == 8 ? 2 : 3;
  uint8_t low[size], high[size];  // the halves of the entries as numbers to the base `levels`
  int32_t packed[size];

  explicit Book(const uint16_t* grid) {
    for (int e = 0; e < size; ++e) {
      packed[e] = grid[e];
      low[e] = number(grid[e]);
      high[e] = number(grid[e] >> (bits * half));
    }
  }

 private:
  static uint8_t number(int codes) {
    int n = 0;
    for (int i = half - 1; i >= 0; --i) {
      n = n * levels + ((codes >> (bits * i)) & ((1 << bits) - 1));
    }
    return static_cast<uint8_t>(n);
  }
};

/// For all choices of values of `half` elements, the weighted square that they leave (less that of
/// the elements).
template <class B>
TALLOW_LANES void half_sums(const V* x, const V* w, const V* values, V* sums) {
  int count = 1;
  sums[0] = V{};
  for (int i = B::half - 1; i >= 0; --i) {  // the first element is the lowest digit
    V costs[B::levels];
    for (int v = 0; v < B::levels; ++v) costs[v] = w[i] * values[v] * (values[v] - 2 * x[i]);
    for (int old = count - 1; old >= 0; --old) {
      const V sum = sums[old];
      for (int v = B::levels - 1; v >= 0; --v) sums[old * B::levels + v] = sum + costs[v];
    }
    count *= B::levels;
  }
}

struct Nearest {
  I index;
  V cost;
};

/// The nearest entry to `length` elements, where the levels have these values.
template <class B>
Nearest nearest_entry(const B& book, const V* x, const V* w, const V* values) {
  V low[B::halves], high[B::halves];
  half_sums<B>(x, w, values, low);
  half_sums<B>(x + B::half, w + B::half, values, high);
  Nearest best{{}, low[book.low[0]] + high[book.high[0]]};
  for (int e = 1; e < B::size; ++e) {
    const V cost = low[book.low[e]] + high[book.high[e]];
    const I better = cost < best.cost;
    best.cost = better ? cost : best.cost;
    best.index = better ? alli(e) : best.index;
  }
  return best;
}

/// The entries' bits.
template <class B>
TALLOW_LANES I entry_bits(const B& book, I index) {
  I out;
  for (int l = 0; l < kLanes; ++l) out[l] = book.packed[index[l]];
  return out;
}

template <class B>
TALLOW_LANES V level(I bits, int i) {
  return floats((bits >> (B::bits * i)) & ((1 << B::bits) - 1));
}

// The kinds of books. value(level) is what a level stands for, before `delta` (iq1) is added.
struct Iq2 {  // `unit` times d is what the file holds
  static constexpr bool has_signs = true;
  static constexpr float top = 43, unit = 8, value_of[3] = {8, 25, 43};
  static V value(V level) { return level * 17 + 8 + (level > 1.5f ? all(1) : V{}); }
};
struct Iq3Xxs {
  static constexpr bool has_signs = true;
  static constexpr float top = 62, unit = 4, value_of[8] = {4, 12, 20, 28, 36, 44, 52, 62};
  static V value(V level) { return level * 8 + 4 + (level > 6.5f ? all(2) : V{}); }
};
struct Iq3S {
  static constexpr bool has_signs = true;
  static constexpr float top = 15, unit = 1, value_of[8] = {1, 3, 5, 7, 9, 11, 13, 15};
  static V value(V level) { return level * 2 + 1; }
};
struct Iq1 {
  static constexpr bool has_signs = false;
  static constexpr float top = 1, unit = 1, value_of[3] = {-1, 0, 1};
  static V value(V level) { return level - 1; }
};

/// What a search finds: value = d * (2 scale + 1) * unit * (value + delta) with its sign.
template <int length, int groups>
struct Found {
  I index[256 / length], scale[groups];
  I signs[32];                  // a bit for each of 8 elements
  I minus_delta[256 / length];  // all bits where delta is taken off
  V d;
};

/// How to search: groups of a block with a scale each, odd numbers to 2 * scale_levels - 1; whether
/// the last of 8 signs follows from the others; for iq1 over how many entries the delta is one.
struct Plan {
  int groups;
  int scale_levels;
  bool even_signs;
  int delta_span;
  int tries;     // of scales
  float spread;  // of the scales that are tried, in parts
};

template <class B, class Kind, Plan plan>
class Search {
 public:
  static constexpr int n = 256 / plan.groups, entries = n / B::length;
  using Result = Found<B::length, plan.groups>;

  Search(const B& book, const Batch<256>& batch, Result& out)
      : book_(book), batch_(batch), out_(out) {
    for (int i = 0; i < 32; ++i) take_signs(i);
  }

  void run() {
    V most = {};
    for (int g = 0; g < plan.groups; ++g) {
      target_[g] = fit(g);
      most = larger(target_[g], most);
    }
    const float top = 2 * plan.scale_levels - 1;
    V d = rounded(most * (1 / top)), best_error = {};
    for (int round = 0; round < 3; ++round) {
      V xa = {}, aa = {}, scale[plan.groups];
      const V inverse = quotient(all(1), d);
      for (int g = 0; g < plan.groups; ++g) {
        const V steps = nearest((target_[g] * inverse - 1) * 0.5f);
        scale[g] = clamped(steps, 0, plan.scale_levels - 1.0f);
        const V odd = scale[g] * 2 + 1;
        choose(g, d * odd);
        xa += odd * xq_, aa += odd * odd * qq_;
        target_[g] = larger(quotient(xq_, qq_), V{});
      }
      const V error = d * (d * aa - 2 * xa);
      const I better = round == 0 ? I{} == 0 : error < best_error;
      best_error = better ? error : best_error;
      keep(better, scale, d);
      const V next = quotient(xa, aa);
      d = next > 0 ? rounded(next) : d;
    }
  }

 private:
  /// As the file keeps it: in f16, with the type's unit as a factor.
  static V rounded(V d) { return as_f16(d * Kind::unit) * (1 / Kind::unit); }

  void take_signs(int i) {
    I bits = {};
    I odd = {};
    V least = all(1e30f);
    I flip = {};
    for (int j = 0; j < 8; ++j) {
      const V x = batch_.x[8 * i + j];
      const I minus = Kind::has_signs ? x < 0 : I{};
      x_[8 * i + j] = Kind::has_signs ? magnitude(x) : x;
      bits |= minus & (1 << j);
      odd ^= minus;
      const V cost = batch_.w[8 * i + j] * x_[8 * i + j];
      const I cheaper = cost < least;
      least = cheaper ? cost : least;
      flip = cheaper ? alli(j) : flip;
    }
    if (plan.even_signs) {
      for (int j = 0; j < 8; ++j) {
        const I turn = odd & (flip == j);
        bits ^= turn & (1 << j);
        x_[8 * i + j] = turn ? -x_[8 * i + j] : x_[8 * i + j];
      }
    }
    out_.signs[i] = bits;
  }

  /// Entries for group g at a scale, into index_ and minus_; and their least squares.
  void choose(int g, V scale) {
    const V* x = x_ + g * n;
    const V* w = batch_.w + g * n;
    xq_ = qq_ = V{};
    if constexpr (Kind::has_signs) {
      V values[B::levels];
      for (int v = 0; v < B::levels; ++v) values[v] = scale * Kind::value_of[v];
      for (int e = 0; e < entries; ++e) {
        index_[e] = nearest_entry(book_, x + e * B::length, w + e * B::length, values).index;
        add_entry(x + e * B::length, w + e * B::length, index_[e], V{});
      }
    } else {
      choose_with_delta(x, w, scale);
    }
    for (int e = 0; e < entries; ++e) all_index_[g * entries + e] = index_[e];
    if constexpr (!Kind::has_signs) {
      for (int e = 0; e < entries; ++e) all_minus_[g * entries + e] = minus_[e];
    }
  }

  void choose_with_delta(const V* x, const V* w, V scale) {
    V plus[B::levels], less[B::levels];
    for (int v = 0; v < B::levels; ++v) {
      plus[v] = scale * (Kind::value_of[v] + blocks::kIq1Delta);
      less[v] = scale * (Kind::value_of[v] - blocks::kIq1Delta);
    }
    for (int e = 0; e < entries; e += plan.delta_span) {
      V gain = {};
      I with_plus[plan.delta_span], with_less[plan.delta_span];
      for (int i = 0; i < plan.delta_span; ++i) {
        const int at = (e + i) * B::length;
        const Nearest a = nearest_entry(book_, x + at, w + at, plus);
        const Nearest b = nearest_entry(book_, x + at, w + at, less);
        gain += a.cost - b.cost;
        with_plus[i] = a.index, with_less[i] = b.index;
      }
      const I minus = gain > 0;
      const V delta = minus ? all(-blocks::kIq1Delta) : all(blocks::kIq1Delta);
      for (int i = 0; i < plan.delta_span; ++i) {
        index_[e + i] = minus ? with_less[i] : with_plus[i];
        minus_[e + i] = minus;
        add_entry(x + (e + i) * B::length, w + (e + i) * B::length, index_[e + i], delta);
      }
    }
  }

  void add_entry(const V* x, const V* w, I index, V delta) {
    const I bits = entry_bits(book_, index);
    for (int i = 0; i < B::length; ++i) {
      const V q = Kind::value(level<B>(bits, i)) + delta, wq = w[i] * q;
      xq_ += wq * x[i];
      qq_ += wq * q;
    }
  }

  /// The best scale of a group by itself.
  V fit(int g) {
    V best = {}, best_gain = {};
    const auto attempt = [&](V scale) {
      choose(g, scale);
      const V own = quotient(xq_, qq_), gain = own * xq_;
      const I better = (gain > best_gain) & (own > 0);
      best_gain = better ? gain : best_gain;
      best = better ? own : best;
    };
    const V first = start(g);
    for (int i = 0; i < plan.tries; ++i) {
      const float part =
          static_cast<float>(2 * i - plan.tries + 1) / static_cast<float>(plan.tries);
      attempt(first * (1 + plan.spread * part));
    }
    attempt(best);
    return best;
  }

  /// Where the search begins: the largest element at the top, or, for ternary values, a little more
  /// than the root of the mean square.
  V start(int g) const {
    V most = {}, squares = {}, weights = {};
    for (int j = g * n; j < (g + 1) * n; ++j) {
      most = larger(magnitude(x_[j]), most);
      squares += batch_.w[j] * x_[j] * x_[j];
      weights += batch_.w[j];
    }
    if constexpr (Kind::has_signs) return most * (1 / Kind::top);
    V root = quotient(squares, weights);
    for (int l = 0; l < kLanes; ++l) root[l] = __builtin_sqrtf(root[l]);
    return root * 1.15f;
  }

  void keep(I better, const V* scale, V d) {
    for (int e = 0; e < 256 / B::length; ++e) {
      out_.index[e] = better ? all_index_[e] : out_.index[e];
      out_.minus_delta[e] = better ? all_minus_[e] : out_.minus_delta[e];
    }
    for (int g = 0; g < plan.groups; ++g) {
      out_.scale[g] = better ? integers(scale[g]) : out_.scale[g];
    }
    out_.d = better ? d : out_.d;
  }

  const B& book_;
  const Batch<256>& batch_;
  Result& out_;
  V x_[256];  // magnitudes where there are signs
  V target_[plan.groups];
  V xq_, qq_;
  I index_[entries], minus_[entries];
  I all_index_[256 / B::length], all_minus_[256 / B::length] = {};
};

/// Encodes a job's blocks of `bytes` bytes; put(found, lane, out) writes one of them.
template <class B, class Kind, Plan plan, int bytes, const uint16_t* grid,
          void (*put)(const Found<B::length, plan.groups>&, int, uint8_t*)>
void encode(const EncodeJob& job) {
  static const B book(grid);
  static thread_local Found<B::length, plan.groups> found;
  each_batch<256, bytes>(
      job, [](const Batch<256>& batch) { Search<B, Kind, plan>(book, batch, found).run(); },
      [](int lane, uint8_t* out) { put(found, lane, out); });
}

TALLOW_LANES void put_u16(uint8_t* p, int v) {
  p[0] = static_cast<uint8_t>(v);
  p[1] = static_cast<uint8_t>(v >> 8);
}
TALLOW_LANES void put_u32(uint8_t* p, uint32_t v) { std::memcpy(p, &v, 4); }
TALLOW_LANES void put_bits(uint8_t* p, int bits) { *p = static_cast<uint8_t>(*p | bits); }

/// Four times seven signs and a scale.
template <class F>
uint32_t sign_word(const F& f, int g, int lane) {
  uint32_t word = static_cast<uint32_t>(f.scale[g][lane]) << 28;
  for (int l = 0; l < 4; ++l) {
    word |= static_cast<uint32_t>(f.signs[4 * g + l][lane] & 127) << (7 * l);
  }
  return word;
}

void put_iq2_xxs(const Found<8, 8>& f, int lane, uint8_t* out) {
  put_half(out, f.d[lane] * 8);
  for (int g = 0; g < 8; ++g) {
    uint8_t* to = out + 2 + 8 * g;
    for (int l = 0; l < 4; ++l) to[l] = static_cast<uint8_t>(f.index[4 * g + l][lane]);
    put_u32(to + 4, sign_word(f, g, lane));
  }
}

void put_iq2_xs(const Found<8, 16>& f, int lane, uint8_t* out) {
  put_half(out, f.d[lane] * 8);
  for (int i = 0; i < 32; ++i) {
    put_u16(out + 2 + 2 * i, f.index[i][lane] | (f.signs[i][lane] & 127) << 9);
  }
  for (int g = 0; g < 8; ++g) {
    out[66 + g] = static_cast<uint8_t>(f.scale[2 * g][lane] | f.scale[2 * g + 1][lane] << 4);
  }
}

void put_iq2_s(const Found<8, 16>& f, int lane, uint8_t* out) {
  put_half(out, f.d[lane] * 8);
  std::memset(out + 66, 0, 8);
  for (int i = 0; i < 32; ++i) {
    out[2 + i] = static_cast<uint8_t>(f.index[i][lane]);
    out[34 + i] = static_cast<uint8_t>(f.signs[i][lane]);
    put_bits(out + 66 + i / 4, (f.index[i][lane] >> 8) << (2 * (i % 4)));
  }
  for (int g = 0; g < 8; ++g) {
    out[74 + g] = static_cast<uint8_t>(f.scale[2 * g][lane] | f.scale[2 * g + 1][lane] << 4);
  }
}

void put_iq3_xxs(const Found<4, 8>& f, int lane, uint8_t* out) {
  put_half(out, f.d[lane] * 4);
  for (int i = 0; i < 64; ++i) out[2 + i] = static_cast<uint8_t>(f.index[i][lane]);
  for (int g = 0; g < 8; ++g) put_u32(out + 66 + 4 * g, sign_word(f, g, lane));
}

void put_iq3_s(const Found<4, 8>& f, int lane, uint8_t* out) {
  put_half(out, f.d[lane]);
  std::memset(out + 66, 0, 8);
  for (int i = 0; i < 64; ++i) {
    out[2 + i] = static_cast<uint8_t>(f.index[i][lane]);
    put_bits(out + 66 + i / 8, (f.index[i][lane] >> 8) << (i % 8));
  }
  for (int i = 0; i < 32; ++i) out[74 + i] = static_cast<uint8_t>(f.signs[i][lane]);
  for (int g = 0; g < 4; ++g) {
    out[106 + g] = static_cast<uint8_t>(f.scale[2 * g][lane] | f.scale[2 * g + 1][lane] << 4);
  }
}

void put_iq1_s(const Found<8, 8>& f, int lane, uint8_t* out) {
  put_half(out, f.d[lane]);
  for (int g = 0; g < 8; ++g) {
    int high = f.scale[g][lane] << 12 | (f.minus_delta[4 * g][lane] & 0x8000);
    for (int l = 0; l < 4; ++l) {
      const int index = f.index[4 * g + l][lane];
      out[2 + 4 * g + l] = static_cast<uint8_t>(index);
      high |= (index >> 8) << (3 * l);
    }
    put_u16(out + 34 + 2 * g, high);
  }
}

void put_iq1_m(const Found<8, 16>& f, int lane, uint8_t* out) {
  std::memset(out + 32, 0, 24);
  for (int i = 0; i < 32; ++i) {
    const int index = f.index[i][lane];
    out[i] = static_cast<uint8_t>(index);
    const int high = index >> 8 | (f.minus_delta[i][lane] & 8);
    put_bits(out + 32 + i / 2, high << (4 * (i % 2)));
  }
  const int d = f32_to_f16(f.d[lane]);
  for (int word = 0; word < 4; ++word) {
    int bits = ((d >> (4 * word)) & 15) << 12;
    for (int g = 0; g < 4; ++g) bits |= f.scale[4 * word + g][lane] << (3 * g);
    put_u16(out + 48 + 2 * word, bits);
  }
}

constexpr Plan kIq1S{8, 8, false, 4, 5, 0.35f}, kIq1M{16, 8, false, 1, 5, 0.35f};
constexpr Plan kIq2Xxs{8, 16, true, 0, 9, 0.2f}, kIq2Xs{16, 16, true, 0, 9, 0.2f};
constexpr Plan kIq2S{16, 16, false, 0, 9, 0.2f};
constexpr Plan kIq3Xxs{8, 16, true, 0, 9, 0.25f}, kIq3S{8, 16, false, 0, 9, 0.2f};

using Book1 = Book<2048, 8, 3>;

}  // namespace

const quant::BookEncoders book_encoders{
    encode<Book1, Iq1, kIq1S, 50, blocks::kIq1Grid, put_iq1_s>,
    encode<Book1, Iq1, kIq1M, 56, blocks::kIq1Grid, put_iq1_m>,
    encode<Book<256, 8, 3>, Iq2, kIq2Xxs, 66, blocks::kIq2XxsGrid, put_iq2_xxs>,
    encode<Book<512, 8, 3>, Iq2, kIq2Xs, 74, blocks::kIq2XsGrid, put_iq2_xs>,
    encode<Book<1024, 8, 3>, Iq2, kIq2S, 82, blocks::kIq2SGrid, put_iq2_s>,
    encode<Book<256, 4, 8>, Iq3Xxs, kIq3Xxs, 98, blocks::kIq3XxsGrid, put_iq3_xxs>,
    encode<Book<512, 4, 8>, Iq3S, kIq3S, 110, blocks::kIq3SGrid, put_iq3_s>,
};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
