// Listing what is in a model's file or folder.
#include "tallow/inspect.h"

#include <algorithm>
#include <cstdio>

#include "core/read_file.h"
#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "tallow/error.h"
#include "tallow/files.h"
#include "tallow/ggml_file.h"
#include "tallow/gguf.h"

namespace tallow {
namespace {

constexpr uint64_t kJsonItems = 1'000'000;  // of one array, and four times that of a file
constexpr uint64_t kTextItems = 6;

/// A listing; tensors of several files in one list.
struct Listing {
  std::string path;
  std::string format;
  Json metadata = Json::object();
  std::vector<std::pair<TensorInfo, std::string>> tensors;  // and the file's name

  void add(const TensorFile& file) {
    const std::string& full = file.path();
    const std::string name = full.substr(full.rfind('/') + 1);
    for (const TensorInfo& t : file.tensors()) tensors.emplace_back(t, name);
  }
  int64_t bytes() const {
    int64_t sum = 0;
    for (const auto& [t, file] : tensors) sum += t.bytes;
    return sum;
  }
  /// Elements; none where a damaged file's count would overflow.
  int64_t parameters() const {
    int64_t sum = 0;
    for (const auto& [t, file] : tensors) {
      int64_t n = 1;
      for (const int64_t size : t.shape) {
        if (__builtin_mul_overflow(n, size, &n)) return 0;
      }
      if (__builtin_add_overflow(sum, n, &sum)) return 0;
    }
    return sum;
  }
};

Json gguf_metadata(const GgufFile& file, uint64_t max_items) {
  Json out = Json::object();
  // Keys are unique, so Json::set's search for an old one is not needed.
  auto& members = out.members();
  uint64_t budget = 4 * kJsonItems;
  for (const GgufValue& value : file.metadata()) {
    const uint64_t items = value.is_array ? std::min(max_items, budget) : 1;
    members.emplace_back(std::string(value.key), to_json(value, items));
    budget -= std::min({value.count, items, budget});
  }
  return out;
}

Json ggml_metadata(const GgmlFile& file) {
  const GgmlFile::Hyperparameters& h = file.hyperparameters();
  Json out = Json::object();
  out.set("n_vocab", int64_t{h.vocab});
  out.set("n_embd", int64_t{h.embedding});
  out.set("n_mult", int64_t{h.multiple});
  out.set("n_head", int64_t{h.heads});
  out.set("n_layer", int64_t{h.layers});
  out.set("n_rot", int64_t{h.rotary});
  out.set("ftype", int64_t{h.file_type});
  return out;
}

Listing list(const std::string& path, uint64_t max_items) {
  const TensorFiles opened = open_tensors(path);
  Listing out;
  out.path = path;
  out.format = opened.format;
  if (const std::string config = path + "/config.json"; is_folder(path) && file_exists(config)) {
    out.metadata.set("config", Json::read(config));
  }
  if (opened.format == "npy") {
    out.metadata.set("fortran_order", !opened.source->get("data").is_contiguous());
  }
  for (const auto& [key, value] : opened.metadata) out.metadata.set(key, value);
  for (const auto& file : opened.files) {
    if (const auto* gguf = dynamic_cast<const GgufFile*>(file.get())) {
      out.metadata = gguf_metadata(*gguf, max_items);
    }
    if (const auto* ggml = dynamic_cast<const GgmlFile*>(file.get())) {
      out.metadata = ggml_metadata(*ggml);
    }
    out.add(*file);
  }
  return out;
}

Json shape_json(const Shape& shape) {
  Json::Array sizes;
  for (const int64_t size : shape) sizes.emplace_back(size);
  return Json(std::move(sizes));
}

/// "97.9 MB" or "135 M parameters", with three digits.
std::string scaled(int64_t value, std::string_view unit) {
  constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T", "P", "E"};
  int prefix = 0;
  double scaled_value = static_cast<double>(value);
  for (; scaled_value >= 999.5 && prefix < 6; ++prefix) scaled_value /= 1000;
  char text[32];
  const int decimals = prefix == 0 || scaled_value >= 99.95 ? 0 : scaled_value >= 9.995 ? 1 : 2;
  std::snprintf(text, sizeof text, "%.*f", decimals, scaled_value);
  return str(text, " ", kPrefixes[prefix], prefix > 0 && unit.size() > 1 ? " " : "", unit);
}

/// `text` cut between characters to a length that fits a line.
std::string shortened(const std::string& text) {
  constexpr size_t kLongest = 100;
  if (text.size() <= kLongest) return text;
  size_t end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

/// Whether to_json abbreviated an array.
bool is_abbreviated(const Json& value) {
  const Json* first = value.find("first");
  const Json* type = value.find("type");
  const Json* count = value.find("count");
  return first && type && count && type->is_string() && count->is_integer();
}

/// A metadata value on one line.
std::string one_line(const Json& value) {
  if (is_abbreviated(value)) {
    return str(value.at("count").integer(), " x ", value.at("type").string(), ": ",
               shortened(value.at("first").dump()));
  }
  return value.is_string() ? quoted(value.string()) : shortened(value.dump());
}

/// A name as it is, or quoted where it has characters that would upset a terminal.
std::string plain(const std::string& name) {
  const bool safe = std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7F;
  });
  return safe && !name.empty() ? name : quoted(name);
}

/// Rows as columns that start at the same place; the columns in `right` are aligned to the right.
class Columns {
 public:
  explicit Columns(std::vector<bool> right) : right_(std::move(right)) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const {
    std::vector<size_t> widths(right_.size());
    for (const auto& row : rows_) {
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (const auto& row : rows_) {
      std::string line;
      for (size_t i = 0; i < row.size(); ++i) {
        const std::string space(widths[i] - row[i].size(), ' ');
        line += "  " + (right_[i] ? space + row[i] : row[i] + space);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + "\n";
    }
    return out;
  }

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

void flatten(const Json& value, const std::string& prefix, Columns& out) {
  for (const auto& [key, member] : value.members()) {
    const std::string name = prefix + plain(key);
    if (member.is_object() && !is_abbreviated(member) && !member.members().empty()) {
      flatten(member, name + ".", out);
    } else {
      out.add({name, one_line(member)});
    }
  }
}

}  // namespace

Json inspect_json(const std::string& path) {
  Listing listing = list(path, kJsonItems);
  Json::Array tensors;
  tensors.reserve(listing.tensors.size());
  for (const auto& [t, file] : listing.tensors) {
    Json row;
    row.set("name", t.name);
    row.set("dtype", t.type);
    row.set("shape", shape_json(t.shape));
    row.set("bytes", t.bytes);
    row.set("file", file);
    tensors.push_back(std::move(row));
  }
  Json totals;
  totals.set("tensors", static_cast<int64_t>(listing.tensors.size()));
  totals.set("parameters", listing.parameters());
  totals.set("bytes", listing.bytes());
  Json out;
  out.set("path", path);
  out.set("format", listing.format);
  out.set("metadata", std::move(listing.metadata));
  out.set("tensors", Json(std::move(tensors)));
  out.set("totals", std::move(totals));
  return out;
}

std::string inspect_text(const std::string& path) {
  const Listing listing = list(path, kTextItems);
  std::string out =
      str(path, ": ", listing.format, ", ", listing.tensors.size(), " tensors, ",
          scaled(listing.parameters(), "parameters"), ", ", scaled(listing.bytes(), "B"), "\n");
  if (!listing.metadata.members().empty()) {
    Columns columns({false, false});
    flatten(listing.metadata, "", columns);
    out += "\nmetadata\n" + columns.text();
  }
  // One file's name says nothing; of shards it does.
  const auto elsewhere = [&](const auto& row) { return row.second != listing.tensors[0].second; };
  const bool shards = std::any_of(listing.tensors.begin(), listing.tensors.end(), elsewhere);
  Columns columns({false, false, false, true, false});
  columns.add({"name", "dtype", "shape", "bytes", shards ? "file" : ""});
  for (const auto& [t, file] : listing.tensors) {
    columns.add(
        {plain(t.name), t.type, to_string(t.shape), str(t.bytes), shards ? plain(file) : ""});
  }
  return out + "\ntensors\n" + columns.text();
}

}  // namespace tallow
