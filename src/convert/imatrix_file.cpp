// Reading importance matrices: the GGUF form, and the .dat form that came before.
#include <cmath>

#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "tallow/error.h"
#include "tallow/quantize.h"

namespace tallow {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";

void check_values(const std::string& path, std::string_view name,
                  const std::vector<float>& values) {
  for (const float v : values) {
    if (!(v >= 0) || std::isinf(v)) {
      fail(path, ": tensor ", quoted(name), ": ", v,
           " is not an importance; it must be finite and ", "not negative");
    }
  }
}

/// Sums [rows, k] over the counts [rows]; where there are none, 1.
std::vector<float> means(const GgufFile& file, const TensorInfo& sums_info,
                         const std::string& counts_name) {
  const Tensor sums = file.get(sums_info.name), counts = file.get(counts_name);
  const int64_t rows = counts.numel();
  if (sums.dtype() != DType::f32 || counts.dtype() != DType::f32 || rows == 0 ||
      sums.numel() % rows != 0) {
    fail(file.path(), ": tensor ", quoted(sums_info.name), ": ", sums, " and its counts ", counts,
         " are not f32 sums of a row for each count");
  }
  const int64_t k = sums.numel() / rows;
  std::vector<float> out(static_cast<size_t>(sums.numel()));
  for (int64_t r = 0; r < rows; ++r) {
    const float count = counts.data<float>()[r];
    for (int64_t j = r * k; j < (r + 1) * k; ++j) {
      out[static_cast<size_t>(j)] = count > 0 ? sums.data<float>()[j] / count : 1;
    }
  }
  return out;
}

}  // namespace

const std::vector<float>* ImportanceMatrix::find(std::string_view name) const {
  const auto found = values_.find(std::string(name));
  return found == values_.end() ? nullptr : &found->second;
}

static void read_dat(ByteReader& in, const std::string& path, int64_t* chunks, std::string* dataset,
                     std::unordered_map<std::string, std::vector<float>>* values) {
  const auto count = [&](const char* field) {
    const auto n = in.read<int32_t>(field);
    if (n < 0) in.fail_at(field, n, " is negative; this is no importance matrix");
    return static_cast<uint64_t>(n);
  };
  const uint64_t entries = count("entry count");
  in.check_count(entries, 12, "entry count");
  for (uint64_t e = 0; e < entries; ++e) {
    const std::string name(as_text(in.take(count("name length"), "name")));
    const std::string field = str("entry ", quoted(name));
    const auto calls = in.read<int32_t>(field);
    const uint64_t n = count(field.c_str());
    in.check_count(n, 4, field);
    std::vector<float> row(n);
    const auto bytes = in.take(4 * n, field);
    if (n > 0) std::memcpy(row.data(), bytes.data(), bytes.size());
    if (calls > 0) {
      for (float& v : row) v /= static_cast<float>(calls);
    }
    check_values(path, name, row);
    (*values)[name] = std::move(row);
  }
  if (in.remaining() < 8) return;  // older still
  *chunks = in.read<int32_t>("chunks");
  *dataset = std::string(as_text(in.take(count("dataset length"), "dataset")));
}

ImportanceMatrix ImportanceMatrix::open(const std::string& path) {
  ImportanceMatrix out;
  out.path_ = path;
  const auto bytes = FileBytes::open(path);
  if (!as_text(bytes->bytes()).starts_with("GGUF")) {
    ByteReader in(bytes->bytes(), path);
    read_dat(in, path, &out.chunks_, &out.dataset_, &out.values_);
    return out;
  }
  const auto file = GgufFile::open(path);
  if (file->string("general.type").value_or("") != "imatrix") {
    fail(path, ": metadata \"general.type\" is not \"imatrix\"; give a file of `tallow imatrix`");
  }
  for (const TensorInfo& t : file->tensors()) {
    if (!t.name.ends_with(kSums)) continue;
    const std::string name = t.name.substr(0, t.name.size() - kSums.size());
    std::vector<float> row = means(*file, t, name + std::string(kCounts));
    check_values(path, t.name, row);
    out.values_[name] = std::move(row);
  }
  out.chunks_ = file->integer("imatrix.chunk_count").value_or(0);
  const auto datasets = file->strings("imatrix.datasets");
  if (!datasets.empty()) out.dataset_ = std::string(datasets[0]);
  return out;
}

}  // namespace tallow
