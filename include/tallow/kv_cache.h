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
  Tensor logit_rows;    ///< i32 [rows]: the tokens whose logits are wanted
  /// i32 [tokens], or undefined: how many of its sequence's tokens each one sees where that is more
  /// than those up to itself: an image's tokens may see one another. Never falls within a sequence,
  /// and never passes its length. Architectures say in which layers it counts.
  Tensor visible;
  /// f32 [soft, hidden], or undefined: what an encoder made of an image or a sound, in place of the
  /// embeddings of the tokens soft_rows (i32 [soft]).
  Tensor soft_tokens, soft_rows;
  /// Per sequence, the length that rope scaling goes by: all of the prompt's, also while it is
  /// still being prefilled in chunks, so that chunks and one pass agree.
  std::vector<int64_t> rope_lengths;

  /// The same pass for the tokens of logit_rows only, once nobody else's keys and values are to be
  /// written: queries for the tails of the sequences. logit_rows of the result are all its rows.
  /// Slots and soft tokens are left out.
  Batch wanted() const;
};

struct KvHeads {
  int64_t count = 0, dim = 0;
};

struct KvCacheSpec {
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  DType dtype = DType::bf16;  ///< f32 or bf16
  int64_t page_size = 32;
  /// Where layers differ: the heads of each, in place of kv_heads and head_dim. A layer without
  /// heads has no memory.
  std::vector<KvHeads> each = {};

  KvHeads heads(int64_t layer) const {
    return each.empty() ? KvHeads{kv_heads, head_dim} : each[static_cast<size_t>(layer)];
  }
  /// Bytes of keys and values of one token in all layers.
  double token_bytes() const;
};

/// Keys and values of many sequences in pages. Sequences may share pages; a shared page is copied
/// when one of them writes into it. Memory is reserved for `capacity` tokens and used as they come.
class KvCache {
 public:
  using Sequence = int32_t;

  /// Throws Error when `capacity` tokens cannot be had.
  KvCache(const KvCacheSpec& spec, int64_t capacity);

  /// An empty sequence.
  Sequence create();
  /// A new sequence that begins with the first `tokens` of another, sharing their pages.
  Sequence fork(Sequence from, int64_t tokens);
  /// Gives back a sequence's pages.
  void release(Sequence sequence);
  /// Forgets what is past the first `tokens`.
  void truncate(Sequence sequence, int64_t tokens);

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
  /// Layer l's values, transposed: [pages, kv_heads, head_dim, page_size].
  const Tensor& values(int64_t layer) const { return values_[layer]; }

 private:
  struct Pages {
    std::vector<int32_t> pages;
    int64_t length = 0;
    bool live = false;
  };
  Pages& at(Sequence sequence);
  const Pages& at(Sequence sequence) const;
  int32_t take_page();
  void drop_page(int32_t page);
  void make_writable(Pages& sequence);

  KvCacheSpec spec_;
  int64_t capacity_;
  std::vector<Tensor> keys_, values_;
  std::vector<int32_t> free_, references_;
  std::vector<Pages> sequences_;
};

}  // namespace tallow
