// Pages, their counts of users, and the description of a ragged pass.
#include "tallow/kv_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// Address space that costs memory only as it is touched.
Tensor reserve(const Shape& shape, DType dtype) {
  int64_t bytes = shape.numel() * info(dtype).bytes;
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

void check_memory(const KvCacheSpec& spec, int64_t capacity) {
  double bytes = spec.token_bytes() * static_cast<double>(capacity);
  double memory = static_cast<double>(physical_memory());
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

double KvCacheSpec::token_bytes() const {
  double elements = 0;
  for (int64_t l = 0; l < layers; ++l) {
    elements += 2.0 * static_cast<double>(heads(l).count) * static_cast<double>(heads(l).dim);
  }
  return elements * info(dtype).bytes;
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
  result.slots = result.soft_tokens = result.soft_rows = {};
  return result;
}

KvCache::KvCache(const KvCacheSpec& spec, int64_t capacity) : spec_(spec) {
  check_memory(spec, capacity);
  int64_t pages = (capacity + spec.page_size - 1) / spec.page_size;
  capacity_ = pages * spec.page_size;
  for (int64_t l = 0; l < spec.layers; ++l) {
    const auto [heads, dim] = spec.heads(l);
    keys_.push_back(reserve({pages, heads, spec.page_size, dim}, spec.dtype));
    values_.push_back(reserve({pages, heads, dim, spec.page_size}, spec.dtype));
  }
  references_.resize(static_cast<size_t>(pages));
  for (int64_t p = pages - 1; p >= 0; --p) free_.push_back(static_cast<int32_t>(p));
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

KvCache::Sequence KvCache::create() {
  auto free_slot =
      std::find_if(sequences_.begin(), sequences_.end(), [](const Pages& s) { return !s.live; });
  if (free_slot == sequences_.end()) free_slot = sequences_.insert(free_slot, Pages{});
  *free_slot = Pages{{}, 0, true};
  return static_cast<Sequence>(free_slot - sequences_.begin());
}

KvCache::Sequence KvCache::fork(Sequence from, int64_t tokens) {
  if (tokens < 0 || tokens > at(from).length) {
    fail("key-value cache: sequence ", from, " has ", at(from).length, " tokens, not ", tokens);
  }
  Sequence to = create();
  int64_t pages = (tokens + spec_.page_size - 1) / spec_.page_size;
  const std::vector<int32_t>& shared = at(from).pages;
  at(to).pages.assign(shared.begin(), shared.begin() + pages);
  at(to).length = tokens;
  for (int32_t page : at(to).pages) ++references_[page];
  return to;
}

void KvCache::release(Sequence sequence) {
  truncate(sequence, 0);
  at(sequence).live = false;
}

void KvCache::truncate(Sequence sequence, int64_t tokens) {
  Pages& s = at(sequence);
  if (tokens < 0 || tokens > s.length) {
    fail("key-value cache: sequence ", sequence, " has ", s.length, " tokens, not ", tokens);
  }
  auto keep = static_cast<size_t>((tokens + spec_.page_size - 1) / spec_.page_size);
  while (s.pages.size() > keep) {
    drop_page(s.pages.back());
    s.pages.pop_back();
  }
  s.length = tokens;
}

int64_t KvCache::length(Sequence sequence) const { return at(sequence).length; }

int64_t KvCache::free_tokens() const {
  return static_cast<int64_t>(free_.size()) * spec_.page_size;
}

int32_t KvCache::take_page() {
  int32_t page = free_.back();
  free_.pop_back();
  references_[page] = 1;
  return page;
}

void KvCache::drop_page(int32_t page) {
  if (--references_[page] == 0) free_.push_back(page);
}

// A partly filled last page that others read is copied before this sequence writes into it.
void KvCache::make_writable(Pages& s) {
  if (s.length % spec_.page_size == 0 || references_[s.pages.back()] == 1) return;
  int32_t from = s.pages.back(), to = take_page();
  for (const auto* layers : {&keys_, &values_}) {
    for (const Tensor& t : *layers) {
      Tensor source = t.select(0, from), target = t.select(0, to);
      std::memcpy(target.raw(), source.raw(), static_cast<size_t>(source.nbytes()));
    }
  }
  drop_page(from);
  s.pages.back() = to;
}

Batch KvCache::reader(Sequence sequence) const {
  const Pages& s = at(sequence);
  const auto length = static_cast<int32_t>(s.length);
  Batch batch;
  batch.positions = list<int32_t>({length});
  batch.query_starts = list<int32_t>({0, 1});
  batch.lengths = list<int32_t>({length});
  batch.page_table = list(s.pages).unsqueeze(0);
  batch.logit_rows = list<int32_t>({0});
  batch.rope_lengths = {s.length + 1};
  batch.tokens = list<int32_t>({0});
  return batch;
}

Batch KvCache::append(std::span<const Chunk> chunks) {
  int64_t needed = 0;
  for (const Chunk& chunk : chunks) {
    const Pages& s = at(chunk.sequence);
    auto have = static_cast<int64_t>(s.pages.size());
    auto after = s.length + static_cast<int64_t>(chunk.tokens.size());
    bool shared = s.length % spec_.page_size != 0 && references_[s.pages.back()] > 1;
    needed += (after + spec_.page_size - 1) / spec_.page_size - have + shared;
  }
  if (needed > static_cast<int64_t>(free_.size())) {
    fail("key-value cache: ", needed, " pages of ", spec_.page_size, " tokens are needed and ",
         free_.size(), " are free; make the context longer or the input shorter");
  }
  std::vector<int32_t> tokens, positions, slots, starts{0}, lengths, rows;
  Batch batch;
  size_t widest = 1;
  for (const Chunk& chunk : chunks) {
    Pages& s = at(chunk.sequence);
    if (!chunk.tokens.empty()) make_writable(s);
    for (int32_t token : chunk.tokens) {
      if (s.length % spec_.page_size == 0) s.pages.push_back(take_page());
      tokens.push_back(token);
      positions.push_back(static_cast<int32_t>(s.length));
      slots.push_back(
          static_cast<int32_t>(s.pages.back() * spec_.page_size + s.length % spec_.page_size));
      ++s.length;
    }
    int32_t begin = starts.back(), end = static_cast<int32_t>(tokens.size());
    starts.push_back(end);
    lengths.push_back(static_cast<int32_t>(s.length));
    int32_t first = chunk.no_logits ? end : chunk.all_logits ? begin : std::max(begin, end - 1);
    for (int32_t row = first; row < end; ++row) rows.push_back(row);
    batch.rope_lengths.push_back(std::max(s.length, chunk.rope_length));
    widest = std::max(widest, s.pages.size());
  }
  std::vector<int32_t> table(chunks.size() * widest, 0);
  for (size_t i = 0; i < chunks.size(); ++i) {
    const auto& pages = at(chunks[i].sequence).pages;
    std::copy(pages.begin(), pages.end(), table.begin() + static_cast<ptrdiff_t>(i * widest));
  }
  batch.tokens = list(tokens);
  batch.positions = list(positions);
  batch.slots = list(slots);
  batch.query_starts = list(starts);
  batch.lengths = list(lengths);
  batch.page_table =
      Tensor::from(std::span<const int32_t>(table),
                   {static_cast<int64_t>(chunks.size()), static_cast<int64_t>(widest)});
  batch.logit_rows = list(rows);
  return batch;
}

}  // namespace tallow
