// The paged key-value cache, and the ragged batch that a language model's forward pass takes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tallow/tensor.h"

namespace tallow {

/// Flat tokens of any number of sequences, with where each one's keys and values go.
struct Batch {
  Tensor tokens;        ///< i32 [tokens]
  Tensor positions;     ///< i32 [tokens]
  Tensor slots;         ///< i32 [tokens]: page * page_size + offset
  Tensor query_starts;  ///< i32 [sequences + 1]
  Tensor lengths;       ///< i32 [sequences]: tokens in the cache, these included
  Tensor page_table;    ///< i32 [sequences, max_pages]
  /// The same for layers with a window; undefined where the cache has none. Pages that have left
  /// the window are 0 in the table: no query sees them.
  Tensor near_slots, near_table;
  Tensor logit_rows;  ///< i32 [rows]: the tokens whose logits are wanted
  /// i32 [tokens], or undefined: how many of its sequence's tokens each one sees where that is more
  /// than those up to itself: an image's tokens may see one another. Never falls within a sequence,
  /// and never passes its length. Architectures say in which layers it counts.
  Tensor visible;
  /// f32 [soft, hidden], or undefined: what an encoder made of an image or a sound, in place of the
  /// embeddings of the tokens soft_rows (i32 [soft]).
  Tensor soft_tokens, soft_rows;
  /// For those who look inside, or null: where a pass leaves f32 [tokens, hidden] of its embeddings
  /// and of what each layer makes of them, normed after the last; and f32 [tokens, layers, dim],
  /// the inputs that layers have of their own, where they do. Rows are all tokens' if all have
  /// logits.
  Tensors* hidden_states = nullptr;
  Tensor* layer_inputs = nullptr;
  /// Per sequence, the length that rope scaling goes by: all of the prompt's, also while it is
  /// still being prefilled in chunks, so that chunks and one pass agree.
  std::vector<int64_t> rope_lengths;

  /// The same pass for the tokens of logit_rows only, once nobody else's keys and values are to be
  /// written: queries for the tails of the sequences. logit_rows of the result are all its rows.
  /// Slots and soft tokens are left out.
  Batch wanted() const;
  /// The same pass for layers with a window.
  Batch near() const;
};

struct KvHeads {
  int64_t count = 0, dim = 0;
  int64_t window = 0;  ///< how many tokens back the layer sees, its own included; 0 for all
};

struct KvCacheSpec {
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  DType dtype = DType::bf16;  ///< f32, bf16, f16, q8_0 or q4_0
  int64_t page_size = 32;
  /// Where layers differ: the heads of each, in place of kv_heads and head_dim. A layer without
  /// heads has no memory.
  std::vector<KvHeads> each = {};

  KvHeads heads(int64_t layer) const {
    return each.empty() ? KvHeads{kv_heads, head_dim} : each[static_cast<size_t>(layer)];
  }
  /// The widest window of a layer; 0 for none.
  int64_t window() const;
  /// Bytes of keys and values of one token, in layers with a window or in the others.
  double token_bytes(bool near) const;
  /// Bytes of a sequence's keys and values, in layers with a window those of that and `beyond`.
  double bytes(double tokens, double beyond = 0) const;
  /// Bytes that a cache of so many tokens takes, used by one sequence in passes of `chunk` tokens.
  double memory(int64_t tokens, int64_t chunk = 512) const;
  /// The most tokens that so much memory holds.
  int64_t tokens_in(double memory) const;
};

/// Keys and values of many sequences in pages. Sequences may share pages; a shared page is copied
/// when one of them writes into it. Memory is reserved for `capacity` tokens and used as they come.
///
/// Layers with a window have pages of their own. When a sequence goes on, those that lie more than
/// kTakenBack tokens before the window are given back, and used again before fresh memory is: such
/// a layer's memory is bounded by window and pass, not by the context. So a sequence can be cut to
/// a length that is not far back, or to nothing.
class KvCache {
 public:
  using Sequence = int32_t;
  /// Tokens beyond what the last pass added by which any sequence can be cut.
  static constexpr int64_t kTakenBack = 256;

  /// Throws Error when `capacity` tokens cannot be had.
  KvCache(const KvCacheSpec& spec, int64_t capacity);

  /// An empty sequence.
  Sequence create();
  /// A new sequence that begins with the first `tokens` of another, sharing their pages. Throws
  /// Error where kept() says that they are gone.
  Sequence fork(Sequence from, int64_t tokens);
  /// Gives back a sequence's pages.
  void release(Sequence sequence);
  /// Forgets what is past the first `tokens`; all, where those before them have left the window.
  /// Returns how many are left: kept().
  int64_t truncate(Sequence sequence, int64_t tokens);
  /// `tokens`, or 0 where a sequence of the first `tokens` could not go on: layers with a window no
  /// longer hold what it would see. Throws Error for more tokens than there are.
  int64_t kept(Sequence sequence, int64_t tokens) const;

  int64_t length(Sequence sequence) const;
  /// Tokens that still fit, over all sequences.
  int64_t free_tokens() const;
  int64_t capacity() const { return capacity_; }

  /// Tokens to append to a sequence, and which of their logits are wanted.
  struct Chunk {
    Sequence sequence;
    std::span<const int32_t> tokens;
    bool all_logits = false;  ///< else only the last token's
    bool no_logits = false;
    int64_t rope_length = 0;  ///< the sequence's length once its prompt is complete, if longer
  };
  /// Reserves slots for the chunks and describes the pass. Throws Error, leaving the cache as it
  /// was, when they do not fit.
  Batch append(std::span<const Chunk> chunks);

  /// One query after what the sequence holds, that writes nothing: for those who read along.
  Batch reader(Sequence sequence) const;

  const KvCacheSpec& spec() const { return spec_; }
  /// Layer l's keys [pages, kv_heads, page_size, head_dim], sizes as spec().heads(l).
  const Tensor& keys(int64_t layer) const { return keys_[layer]; }
  /// Layer l's values, transposed: [pages, kv_heads, head_dim, page_size]; blocks as keys.
  const Tensor& values(int64_t layer) const { return values_[layer]; }

 private:
  /// Pages that count their users.
  struct Pool {
    std::vector<int32_t> free, references;

    explicit Pool(int64_t pages);
    int32_t take();
    void drop(int32_t page);
    bool shared(int32_t page) const { return references[static_cast<size_t>(page)] > 1; }
  };
  /// A sequence's pages: in `near`, those of layers with a window, the first `gone` are given back.
  struct Pages {
    std::vector<int32_t> far, near;
    int64_t length = 0, gone = 0;
    bool live = false;
  };
  Pages& at(Sequence sequence);
  const Pages& at(Sequence sequence) const;
  int64_t pages_of(int64_t tokens) const;
  void make_writable(Pages& sequence);
  void copy_page(bool near, int32_t from, int32_t to);
  void slide(Pages& sequence);

  KvCacheSpec spec_;
  int64_t capacity_;
  std::vector<Tensor> keys_, values_;
  int64_t window_;
  Pool far_, near_;
  std::vector<Pages> sequences_;
};

}  // namespace tallow
