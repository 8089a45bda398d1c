// `tallow bench`: prefill and decode at each context and thread count, beside what the machine can
// read from memory, measured in the same run.
#include <algorithm>
#include <cstdio>

#include "model.h"
#include "process.h"
#include "progress.h"
#include "tallow/error.h"
#include "tallow/limits.h"
#include "tallow/parallel.h"

namespace tallow::app {
namespace {

using Clock = std::chrono::steady_clock;

struct Row {
  const char* test;
  int64_t tokens, context;
  int threads;
  double tokens_per_s, bytes_per_s, flops_per_s;
  double limit_bytes_per_s = 0, limit_flops_per_s = 0;

  /// How near the machine's limit this is: the arithmetic's for prefill, reading's for decode.
  double share() const {
    return std::max(bytes_per_s / limit_bytes_per_s, flops_per_s / limit_flops_per_s);
  }
};

/// A cache that is filled to a length, timed from there, and cut back.
class Bench {
 public:
  Bench(const LanguageModel& model, const BenchOptions& options, int64_t capacity)
      : network_(model.network()),
        chunk_(options.model.chunk),
        cache_(spec(model, options), capacity),
        sequence_(cache_.create()) {}

  /// Seconds of the fastest of several runs of `tokens` after `context` tokens, `step` at a time.
  /// The first, which touches and repacks what it needs, does not count.
  double measure(int64_t tokens, int64_t context, int64_t step) {
    double best = 1e30, spent = 0;
    for (int run = 0; run < 6 && (run < 3 || spent < 2); ++run) {
      fill(context);
      const auto start = Clock::now();
      append(tokens, step, /*want_logits=*/true);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      if (run > 0) best = std::min(best, seconds);
      spent += seconds;
    }
    return best;
  }

  /// Bytes of keys and values that a token after `length` others reads.
  double cache_bytes(double length) const { return cache_.spec().bytes(length); }
  double flops(int64_t tokens, int64_t rows) const { return network_.flops(tokens, rows); }
  int64_t chunk() const { return chunk_; }

 private:
  static KvCacheSpec spec(const LanguageModel& model, const BenchOptions& options) {
    KvCacheSpec result = model.network().cache_spec();
    result.dtype = cache_dtype(options.model).value_or(result.dtype);
    return result;
  }

  void fill(int64_t context) {
    int64_t length = cache_.length(sequence_);
    if (length > context) length = cache_.truncate(sequence_, context);
    if (length < context) append(context - length, chunk_, /*want_logits=*/false);
  }

  void append(int64_t count, int64_t step, bool want_logits) {
    std::vector<int32_t> tokens;
    for (int64_t done = 0; done < count; done += step) {
      tokens.resize(static_cast<size_t>(std::min(step, count - done)));
      for (int32_t& token : tokens) token = next_token();
      const bool last = done + step >= count;
      const KvCache::Chunk chunk{
          .sequence = sequence_, .tokens = tokens, .no_logits = step > 1 && !(want_logits && last)};
      network_.forward(cache_.append({&chunk, 1}), cache_);
    }
  }

  int32_t next_token() {
    random_ = random_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<int32_t>((random_ >> 33) % static_cast<uint64_t>(network_.vocab_size()));
  }

  const CausalLM& network_;
  int64_t chunk_;
  KvCache cache_;
  KvCache::Sequence sequence_;
  uint64_t random_ = 1;
};

Row measure_prefill(Bench& bench, const BenchOptions& options, int64_t context,
                    double weight_bytes) {
  const double seconds = bench.measure(options.prefill, context, bench.chunk());
  const double tokens = static_cast<double>(options.prefill);
  double bytes = 0;
  for (int64_t done = 0; done < options.prefill; done += bench.chunk()) {
    const int64_t end = std::min(done + bench.chunk(), options.prefill);
    bytes += weight_bytes + bench.cache_bytes(static_cast<double>(context + end));
  }
  const double flops = bench.flops(options.prefill, 1);
  return {"prefill",        options.prefill, context,        num_threads(),
          tokens / seconds, bytes / seconds, flops / seconds};
}

Row measure_decode(Bench& bench, const BenchOptions& options, int64_t context,
                   double weight_bytes) {
  const double seconds = bench.measure(options.decode, context, 1);
  const double tokens = static_cast<double>(options.decode);
  const double length = static_cast<double>(context) + (tokens + 1) / 2;
  const double bytes = tokens * (weight_bytes + bench.cache_bytes(length));
  const double flops = bench.flops(options.decode, options.decode);
  return {"decode",         options.decode,  context,        num_threads(),
          tokens / seconds, bytes / seconds, flops / seconds};
}

std::string as_json(const std::vector<Row>& rows) {
  Json::Array list;
  for (const Row& row : rows) {
    Json item = Json::object();
    item.set("test", row.test);
    item.set("tokens", row.tokens);
    item.set("context", row.context);
    item.set("threads", row.threads);
    item.set("tokens_per_s", row.tokens_per_s);
    item.set("gb_per_s", row.bytes_per_s * 1e-9);
    item.set("limit_gb_per_s", row.limit_bytes_per_s * 1e-9);
    item.set("gflop_per_s", row.flops_per_s * 1e-9);
    item.set("limit_gflop_per_s", row.limit_flops_per_s * 1e-9);
    list.push_back(std::move(item));
  }
  return Json(std::move(list)).dump(2) + "\n";
}

void print_head(const LanguageModel& model) {
  char line[320];
  std::snprintf(
      line, sizeof line,
      "%.1f MB of weights are read for a token. Limits are measured here: reading as many "
      "bytes,\nand the highest peak of bf16 or 8-bit products.\n"
      "%-8s %7s %8s %8s %10s %8s %8s %9s %9s %9s\n",
      static_cast<double>(model.network().weight_bytes()) * 1e-6, "test", "tokens", "context",
      "threads", "tokens/s", "GB/s", "limit", "GFLOP/s", "limit", "of limit");
  write_stdout(line);
}

void print_row(const Row& row) {
  char line[256];
  std::snprintf(line, sizeof line, "%-8s %7lld %8lld %8d %10.1f %8.2f %8.2f %9.1f %9.1f %8.0f%%\n",
                row.test, static_cast<long long>(row.tokens), static_cast<long long>(row.context),
                row.threads, row.tokens_per_s, row.bytes_per_s * 1e-9, row.limit_bytes_per_s * 1e-9,
                row.flops_per_s * 1e-9, row.limit_flops_per_s * 1e-9, 100 * row.share());
  write_stdout(line);
}

std::vector<int> thread_counts(const BenchOptions& options) {
  std::vector<int> counts(options.thread_counts.begin(), options.thread_counts.end());
  if (counts.empty()) {
    counts.push_back(1);
    if (num_threads() > 1) counts.push_back(num_threads());
  }
  return counts;
}

}  // namespace

int bench(const BenchOptions& options) {
  const std::vector<int> counts = thread_counts(options);
  const auto model = open_model(options.model);
  const int64_t longest = *std::max_element(options.contexts.begin(), options.contexts.end());
  Bench bench(*model, options, longest + std::max(options.prefill, options.decode) + 1);
  const int64_t weights = model->network().weight_bytes();
  if (!options.json) print_head(*model);

  std::vector<Row> rows;
  for (const int threads : counts) {
    set_num_threads(threads);
    const double limit = read_bandwidth(weights, threads);
    const double peak = std::max(peak_bf16(threads), peak_int8(threads));
    for (const int64_t context : options.contexts) {
      const auto add = [&](Row row) {
        row.threads = threads;
        row.limit_bytes_per_s = limit;
        row.limit_flops_per_s = peak;
        if (!options.json) print_row(row);
        rows.push_back(row);
      };
      const double bytes = static_cast<double>(weights);
      if (options.prefill > 0) add(measure_prefill(bench, options, context, bytes));
      if (options.decode > 0) add(measure_decode(bench, options, context, bytes));
    }
  }
  if (options.json) write_stdout(as_json(rows));
  return 0;
}

}  // namespace tallow::app
