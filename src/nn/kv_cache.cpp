// Pages, their counts of users, and the description of a ragged pass.
#include "tallow/kv_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "ops/inference/paged_attention.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// Address space that costs memory only as it is touched.
Tensor reserve(const Shape& shape, DType dtype) {
  const int64_t bytes = shape.numel() / info(dtype).block * info(dtype).bytes;
  void* data = mmap(nullptr, static_cast<size_t>(std::max<int64_t>(bytes, 1)),
                    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    fail("key-value cache: ", bytes, " bytes could not be had; ask for a smaller context");
  }
  std::shared_ptr<void> owner(data, [bytes](void* p) { munmap(p, static_cast<size_t>(bytes)); });
  return Tensor(Buffer::wrap(data, bytes, std::move(owner), Buffer::Kind::borrowed), 0, shape,
                contiguous_strides(shape), dtype);
}

int64_t physical_memory() {
  int64_t pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? pages * size : INT64_MAX;
}

void check_spec(const KvCacheSpec& spec, int64_t capacity) {
  if (!is_cache_type(spec.dtype)) {
    fail("key-value cache: holds no ", spec.dtype, "; ask for f32, bf16, f16, q8_0 or q4_0");
  }
  const double bytes = spec.memory(capacity), memory = static_cast<double>(physical_memory());
  if (capacity > INT32_MAX - spec.page_size) {
    fail("key-value cache: ", capacity,
         " tokens are more than 32-bit slots number; ask for a "
         "smaller context");
  }
  if (capacity < 1 || bytes > memory) {
    fail("key-value cache: ", capacity, " tokens need ", bytes / 1e9, " GB, and this machine has ",
         memory / 1e9, " GB; ask for a smaller context");
  }
}

template <class T>
Tensor list(const std::vector<T>& values) {
  return Tensor::from(std::span<const T>(values), {static_cast<int64_t>(values.size())});
}

}  // namespace

int64_t KvCacheSpec::window() const {
  int64_t widest = 0;
  for (int64_t l = 0; l < layers; ++l) {
    if (heads(l).count > 0) widest = std::max(widest, heads(l).window);
  }
  return widest;
}

double KvCacheSpec::token_bytes(bool near) const {
  double elements = 0;
  for (int64_t l = 0; l < layers; ++l) {
    const auto [count, dim, window] = heads(l);
    if ((window > 0) == near) {
      elements += 2.0 * static_cast<double>(count) * static_cast<double>(dim);
    }
  }
  return elements * info(dtype).bytes / info(dtype).block;
}

double KvCacheSpec::bytes(double tokens, double beyond) const {
  const double near = std::min(tokens, static_cast<double>(window()) + beyond);
  return token_bytes(false) * tokens + token_bytes(true) * near;
}

double KvCacheSpec::memory(int64_t tokens, int64_t chunk) const {
  return bytes(static_cast<double>(tokens),
               static_cast<double>(KvCache::kTakenBack + chunk + page_size));
}

int64_t KvCacheSpec::tokens_in(double bytes) const {
  int64_t low = 0, high = INT32_MAX;
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (memory(middle) <= bytes) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

Batch Batch::wanted() const {
  Batch result = *this;
  const int32_t* starts = query_starts.data<int32_t>();
  const int32_t* rows = logit_rows.data<int32_t>();
  const int64_t count = logit_rows.numel();
  std::vector<int32_t> kept{0}, all;
  for (int64_t s = 0, row = 0; s + 1 < query_starts.numel(); ++s) {
    const int64_t first = row;
    while (row < count && rows[row] < starts[s + 1]) ++row;
    if (row > first && rows[first] + (row - first) != starts[s + 1]) {
      fail("batch: logit_rows of sequence ", s, " are not its last ones");
    }
    kept.push_back(static_cast<int32_t>(row));
  }
  for (int32_t row = 0; row < count; ++row) all.push_back(row);
  for (Tensor* t : {&result.tokens, &result.positions, &result.visible}) {
    if (*t) *t = index_select(*t, 0, logit_rows);
  }
  result.query_starts = list(kept);
  result.logit_rows = list(all);
  result.slots = result.near_slots = result.soft_tokens = result.soft_rows = {};
  return result;
}

Batch Batch::near() const {
  Batch result = *this;
  if (!near_table) return result;
  result.slots = near_slots;
  result.page_table = near_table;
  return result;
}

KvCache::Pool::Pool(int64_t pages) : references(static_cast<size_t>(pages)) {
  for (int64_t p = pages - 1; p >= 0; --p) free.push_back(static_cast<int32_t>(p));
}

int32_t KvCache::Pool::take() {
  const int32_t page = free.back();
  free.pop_back();
  references[static_cast<size_t>(page)] = 1;
  return page;
}

void KvCache::Pool::drop(int32_t page) {
  if (--references[static_cast<size_t>(page)] == 0) free.push_back(page);
}

// A sequence holds a page of layers with a window only where it holds one of the others, and shares
// it with nobody who does not share that: whatever fits the one pool fits the other.
KvCache::KvCache(const KvCacheSpec& spec, int64_t capacity)
    : spec_(spec),
      capacity_((check_spec(spec, capacity), pages_of(capacity) * spec.page_size)),
      window_(spec.window()),
      far_(pages_of(capacity)),
      near_(window_ > 0 ? pages_of(capacity) : 0) {
  const int64_t pages = pages_of(capacity);
  for (int64_t l = 0; l < spec.layers; ++l) {
    const KvHeads heads = spec.heads(l);
    const Shape shape{pages, heads.count, spec.page_size, heads.dim};
    if (heads.dim % info(spec.dtype).block != 0) {
      fail("key-value cache: ", spec.dtype, " needs heads of whole blocks of ",
           info(spec.dtype).block, ", and those of layer ", l, " have ", heads.dim,
           " elements; ask for f16 or bf16");
    }
    keys_.push_back(reserve(shape, spec.dtype));
    values_.push_back(reserve(
        is_block(spec.dtype) ? shape : Shape{shape[0], shape[1], shape[3], shape[2]}, spec.dtype));
  }
}

KvCache::Pages& KvCache::at(Sequence sequence) {
  return const_cast<Pages&>(static_cast<const KvCache*>(this)->at(sequence));
}

const KvCache::Pages& KvCache::at(Sequence sequence) const {
  if (sequence < 0 || sequence >= static_cast<Sequence>(sequences_.size()) ||
      !sequences_[sequence].live) {
    fail("key-value cache: there is no sequence ", sequence);
  }
  return sequences_[sequence];
}

int64_t KvCache::pages_of(int64_t tokens) const {
  return (tokens + spec_.page_size - 1) / spec_.page_size;
}

KvCache::Sequence KvCache::create() {
  auto free_slot =
      std::find_if(sequences_.begin(), sequences_.end(), [](const Pages& s) { return !s.live; });
  if (free_slot == sequences_.end()) free_slot = sequences_.insert(free_slot, Pages{});
  *free_slot = Pages{.far = {}, .near = {}, .length = 0, .gone = 0, .live = true};
  return static_cast<Sequence>(free_slot - sequences_.begin());
}

int64_t KvCache::kept(Sequence sequence, int64_t tokens) const {
  const Pages& s = at(sequence);
  if (tokens < 0 || tokens > s.length) {
    fail("key-value cache: sequence ", sequence, " has ", s.length, " tokens, not ", tokens);
  }
  const int64_t seen = std::max<int64_t>(0, tokens - window_ + 1);  // by the next token
  return seen < s.gone * spec_.page_size ? 0 : tokens;
}

KvCache::Sequence KvCache::fork(Sequence from, int64_t tokens) {
  if (kept(from, tokens) != tokens) {
    fail("key-value cache: the first ", tokens, " tokens of sequence ", from,
         " have left the window of ", window_, "; run them again");
  }
  const Sequence to = create();
  const Pages& source = at(from);
  Pages& copy = at(to);
  const auto pages = static_cast<ptrdiff_t>(pages_of(tokens));
  copy.far.assign(source.far.begin(), source.far.begin() + pages);
  for (int32_t page : copy.far) ++far_.references[static_cast<size_t>(page)];
  copy.length = tokens;
  if (window_ == 0) return to;
  copy.near.assign(source.near.begin(), source.near.begin() + pages);
  copy.gone = std::min<int64_t>(source.gone, pages);
  for (ptrdiff_t i = copy.gone; i < pages; ++i) {
    ++near_.references[static_cast<size_t>(copy.near[static_cast<size_t>(i)])];
  }
  return to;
}

void KvCache::release(Sequence sequence) {
  truncate(sequence, 0);
  at(sequence).live = false;
}

int64_t KvCache::truncate(Sequence sequence, int64_t tokens) {
  tokens = kept(sequence, tokens);
  Pages& s = at(sequence);
  const auto keep = static_cast<size_t>(pages_of(tokens));
  for (; s.far.size() > keep; s.far.pop_back()) far_.drop(s.far.back());
  for (; s.near.size() > keep; s.near.pop_back()) {
    if (std::ssize(s.near) > s.gone) near_.drop(s.near.back());
  }
  s.gone = std::min<int64_t>(s.gone, std::ssize(s.near));
  s.length = tokens;
  return tokens;
}

int64_t KvCache::length(Sequence sequence) const { return at(sequence).length; }

int64_t KvCache::free_tokens() const { return std::ssize(far_.free) * spec_.page_size; }

void KvCache::copy_page(bool near, int32_t from, int32_t to) {
  for (int64_t l = 0; l < spec_.layers; ++l) {
    if ((spec_.heads(l).window > 0) != near) continue;
    for (const Tensor& t : {keys(l), values(l)}) {
      const int64_t size = t.nbytes() / t.size(0);
      auto* bytes = static_cast<std::byte*>(t.raw());
      std::memcpy(bytes + to * size, bytes + from * size, static_cast<size_t>(size));
    }
  }
}

/// A partly filled last page that others read is copied before this sequence writes into it.
void KvCache::make_writable(Pages& s) {
  if (s.length % spec_.page_size == 0) return;
  const auto own = [&](Pool& pool, int32_t& page) {
    if (!pool.shared(page)) return;
    const int32_t copy = pool.take();
    copy_page(&pool == &near_, page, copy);
    pool.drop(page);
    page = copy;
  };
  own(far_, s.far.back());
  if (window_ > 0) own(near_, s.near.back());
}

/// Gives back what no token from here on sees, nor one up to kTakenBack tokens before.
void KvCache::slide(Pages& s) {
  if (window_ == 0) return;
  const int64_t first = (s.length - kTakenBack - window_ + 1) / spec_.page_size;
  for (; s.gone < std::min<int64_t>(first, std::ssize(s.near)); ++s.gone) {
    int32_t& page = s.near[static_cast<size_t>(s.gone)];
    near_.drop(page);
    page = 0;
  }
}

Batch KvCache::reader(Sequence sequence) const {
  const Pages& s = at(sequence);
  const auto length = static_cast<int32_t>(s.length);
  Batch batch;
  batch.positions = list<int32_t>({length});
  batch.query_starts = list<int32_t>({0, 1});
  batch.lengths = list<int32_t>({length});
  batch.page_table = list(s.far).unsqueeze(0);
  if (window_ > 0) batch.near_table = list(s.near).unsqueeze(0);
  batch.logit_rows = list<int32_t>({0});
  batch.rope_lengths = {s.length + 1};
  batch.tokens = list<int32_t>({0});
  return batch;
}

Batch KvCache::append(std::span<const Chunk> chunks) {
  int64_t needed = 0;
  for (const Chunk& chunk : chunks) {
    const Pages& s = at(chunk.sequence);
    const bool copied = s.length % spec_.page_size != 0 && far_.shared(s.far.back());
    needed += pages_of(s.length + std::ssize(chunk.tokens)) - std::ssize(s.far) + copied;
  }
  if (needed > std::ssize(far_.free)) {
    fail("key-value cache: ", needed, " pages of ", spec_.page_size, " tokens are needed and ",
         far_.free.size(), " are free; make the context longer or the input shorter");
  }
  for (const Chunk& chunk : chunks) slide(at(chunk.sequence));
  std::vector<int32_t> tokens, positions, slots, near_slots, starts{0}, lengths, rows;
  Batch batch;
  size_t widest = 1;
  for (const Chunk& chunk : chunks) {
    Pages& s = at(chunk.sequence);
    if (!chunk.tokens.empty()) make_writable(s);
    for (int32_t token : chunk.tokens) {
      const auto offset = static_cast<int32_t>(s.length % spec_.page_size);
      const auto slot = [&](int32_t page) {
        return static_cast<int32_t>(page * spec_.page_size) + offset;
      };
      if (offset == 0) s.far.push_back(far_.take());
      if (offset == 0 && window_ > 0) s.near.push_back(near_.take());
      tokens.push_back(token);
      positions.push_back(static_cast<int32_t>(s.length));
      slots.push_back(slot(s.far.back()));
      if (window_ > 0) near_slots.push_back(slot(s.near.back()));
      ++s.length;
    }
    int32_t begin = starts.back(), end = static_cast<int32_t>(tokens.size());
    starts.push_back(end);
    lengths.push_back(static_cast<int32_t>(s.length));
    int32_t first = chunk.no_logits ? end : chunk.all_logits ? begin : std::max(begin, end - 1);
    for (int32_t row = first; row < end; ++row) rows.push_back(row);
    batch.rope_lengths.push_back(std::max(s.length, chunk.rope_length));
    widest = std::max(widest, s.far.size());
  }
  const auto table = [&](std::vector<int32_t> Pages::*pages) {
    std::vector<int32_t> all(chunks.size() * widest, 0);
    for (size_t i = 0; i < chunks.size(); ++i) {
      const std::vector<int32_t>& own = at(chunks[i].sequence).*pages;
      std::copy(own.begin(), own.end(), all.begin() + static_cast<ptrdiff_t>(i * widest));
    }
    return list(all).reshape({std::ssize(chunks), static_cast<int64_t>(widest)});
  };
  batch.tokens = list(tokens);
  batch.positions = list(positions);
  batch.slots = list(slots);
  batch.query_starts = list(starts);
  batch.lengths = list(lengths);
  batch.page_table = table(&Pages::far);
  batch.logit_rows = list(rows);
  if (window_ > 0) {
    batch.near_slots = list(near_slots);
    batch.near_table = table(&Pages::near);
  }
  return batch;
}

}  // namespace tallow
