// Quantizing a model: tensor by tensor, and large ones in parts.
#include "tallow/quantize.h"

#include <algorithm>

#include "convert/mixes.h"
#include "core/encode.h"
#include "formats/byte_reader.h"
#include "tallow/error.h"

namespace tallow {
namespace {

using converting::Choice;

constexpr int64_t kPart = 8 << 20;  // elements that are in f32 at a time

int64_t elements(const Shape& shape) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return n;
}

/// The importance of a tensor's columns: [k] for each of its matrices, or null.
const float* importance_of(const ImportanceMatrix* matrix, const Choice& choice) {
  const PlannedTensor& t = *choice.tensor;
  const std::vector<float>* values = matrix ? matrix->find(t.name) : nullptr;
  if (!values) {
    if (!choice.needs_importance) return nullptr;
    fail("quantize: ", quoted(t.name), " as ", choice.dtype, " is useless without importance; ",
         matrix ? str(matrix->path(), " has none for it") : "give --imatrix FILE");
  }
  const int64_t k = t.shape.back();
  const int64_t matrices =
      t.shape.size() > 2 ? elements(t.shape) / k / t.shape[t.shape.size() - 2] : 1;
  if (static_cast<int64_t>(values->size()) != k * matrices) {
    if (t.name == "token_embd.weight") return nullptr;
    fail(matrix->path(), ": ", quoted(t.name), ": ", values->size(), " values for ", t.shape,
         "; the file is another model's");
  }
  return values->data();
}

/// Rounds rows [begin, end) of a matrix [rows, k] into the file.
void write_rows(GgufWriter& out, const Tensor& rows, DType dtype, const float* importance) {
  const int64_t k = rows.size(1), n = rows.size(0);
  const Tensor wide = rows.to(DType::f32).contiguous();
  if (!is_block(dtype)) {
    const Tensor narrow = wide.to(dtype);
    return out.write(
        {static_cast<const std::byte*>(narrow.raw()), static_cast<size_t>(narrow.nbytes())});
  }
  std::vector<std::byte> bytes(static_cast<size_t>(n * storage_bytes(dtype, k)));
  encode_blocks(dtype, wide.data<float>(), bytes.data(), n, k, importance);
  out.write(bytes);
}

void write_tensor(GgufWriter& out, const Choice& choice, const ImportanceMatrix* matrix) {
  const PlannedTensor& t = *choice.tensor;
  const Tensor tensor = t.make();
  if (choice.dtype == t.dtype) return out.write(tensor);
  const float* importance = importance_of(matrix, choice);
  const int64_t k = t.shape.back();
  const int64_t rows = t.shape.size() < 2 ? 1 : t.shape[t.shape.size() - 2];
  const Tensor flat = tensor.reshape({elements(t.shape) / k, k});
  const int64_t step = std::max<int64_t>(1, kPart / k);
  for (int64_t first = 0; first < flat.size(0); first += rows) {
    for (int64_t r = 0; r < rows; r += step) {
      write_rows(out, flat.narrow(0, first + r, std::min(step, rows - r)), choice.dtype,
                 importance);
    }
    if (importance) importance += k;
  }
}

void set_metadata(GgufMetadata& out, const GgufModel& model, const QuantizeOptions& options,
                  const ImportanceMatrix* matrix) {
  for (const GgufValue& value : model.metadata->metadata()) {
    if (!value.key.starts_with("split.")) out.set(value);
  }
  out.set_u32("general.quantization_version", 2);
  out.set_u32("general.file_type", converting::find_mix(options.mix).file_type);
  if (!matrix) return;
  out.set_string("quantize.imatrix.file", matrix->path());
  if (!matrix->dataset().empty()) out.set_string("quantize.imatrix.dataset", matrix->dataset());
  out.set_i32("quantize.imatrix.entries_count", static_cast<int32_t>(matrix->size()));
  if (matrix->chunks() > 0) {
    out.set_i32("quantize.imatrix.chunks_count", static_cast<int32_t>(matrix->chunks()));
  }
}

void check_source(const Choice& choice, const std::string& path, bool requantize) {
  const PlannedTensor& t = *choice.tensor;
  if (choice.dtype == t.dtype || !is_block(t.dtype) || requantize) return;
  fail(path, ": tensor ", quoted(t.name), " is ", t.dtype, " already, and rounding it again to ",
       choice.dtype, " loses more; take the original, or allow it with --requantize");
}

}  // namespace

std::vector<std::string> quantization_mixes() {
  std::vector<std::string> names;
  for (const auto& row : converting::mixes()) names.emplace_back(row.name);
  return names;
}

std::vector<std::pair<std::string, DType>> plan_quantization(const GgufModel& model,
                                                             const QuantizeOptions& options) {
  std::vector<std::pair<std::string, DType>> plan;
  for (const Choice& c : converting::choose_types(model, options, !options.imatrix.empty())) {
    plan.emplace_back(c.tensor->name, c.dtype);
  }
  return plan;
}

void quantize_model(const std::string& in, const std::string& out, const QuantizeOptions& options) {
  std::optional<ImportanceMatrix> matrix;
  if (!options.imatrix.empty()) matrix = ImportanceMatrix::open(options.imatrix);
  const ImportanceMatrix* importance = matrix ? &*matrix : nullptr;
  const GgufModel model = open_as_gguf(in);
  const auto choices = converting::choose_types(model, options, importance != nullptr);
  GgufWriter writer(out);
  set_metadata(writer.metadata(), model, options, importance);
  int64_t total = 0, done = 0;
  for (const Choice& c : choices) {
    check_source(c, in, options.requantize);
    if (c.needs_importance) importance_of(importance, c);
    writer.add_tensor(c.tensor->name, c.tensor->shape, c.dtype);
    total += bytes_of(*c.tensor);
  }
  for (const Choice& c : choices) {
    if (options.progress) options.progress(c.tensor->name, done, total);
    write_tensor(writer, c, importance);
    done += bytes_of(*c.tensor);
  }
  writer.finish();
  if (options.progress) options.progress("", total, total);
}

}  // namespace tallow
