// From what a pickle says to tensors, with containers that are sound.
#include <unordered_map>
#include <variant>

#include "formats/pytorch/unpickler.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr int kDeepest = 500;

class Resolver {
 public:
  Resolver(const std::string& what, const OpenPending& open) : what_(what), open_(open) {}

  void visit(Object& object, int depth) {
    if (depth > kDeepest) fail(what_, ": containers nest deeper than ", kDeepest);
    if (Object::Internal* internal = object.internal()) {
      object = finished(*internal);
    } else if (Object::Sequence* sequence = object.items()) {
      if (!enter(sequence->mark)) return;
      for (Object& item : sequence->items) visit(item, depth + 1);
      sequence->mark = kDone;
    } else if (Object::Dict* dict = object.members()) {
      if (!enter(dict->mark)) return;
      for (auto& [key, value] : dict->entries) {
        visit(key, depth + 1);
        visit(value, depth + 1);
      }
      keep_last(dict->entries);
      dict->mark = kDone;
    }
  }

 private:
  enum : uint8_t { kNew, kOpen, kDone };

  bool enter(uint8_t& mark) {
    if (mark == kOpen) fail(what_, ": a container contains itself; it cannot be loaded");
    if (mark == kDone) return false;
    mark = kOpen;
    return true;
  }

  Object finished(Object::Internal& internal) {
    if (const auto* tensor = dynamic_cast<const PendingTensor*>(&internal)) {
      Tensor& opened = opened_[&internal];
      if (!opened) opened = open_(*tensor);
      return opened;
    }
    if (const auto* storage = dynamic_cast<const StorageRef*>(&internal)) {
      PendingTensor tensor;
      tensor.storage = storage->storage;
      tensor.dtype = storage->dtype;
      tensor.offset = storage->first;
      tensor.shape = Shape{storage->numel};
      tensor.strides = Shape{1};
      return open_(tensor);
    }
    const auto* global = dynamic_cast<const PickleGlobal*>(&internal);
    fail(what_, ": holds the class or function ", quoted(global ? global->name : ""),
         " itself, not a value of it");
  }

  /// Of entries with the same key the last value counts, at the first one's place, as in Python.
  static void keep_last(Object::Entries& entries) {
    std::unordered_map<std::string_view, size_t> texts;
    std::unordered_map<int64_t, size_t> integers;
    size_t kept = 0;
    for (auto& entry : entries) {
      const std::string* text = entry.first.text();
      const int64_t* integer = entry.first.integer();
      size_t at = kept;
      if (text) at = texts.emplace(*text, kept).first->second;
      if (integer) at = integers.emplace(*integer, kept).first->second;
      if (at < kept) {
        entries[at].second = std::move(entry.second);
      } else {
        if (&entries[kept] != &entry) entries[kept] = std::move(entry);
        ++kept;
      }
    }
    entries.resize(kept);
  }

  const std::string& what_;
  const OpenPending& open_;
  std::unordered_map<const Object::Internal*, Tensor> opened_;
};

}  // namespace

void resolve_pickle(Object& root, const std::string& what, const OpenPending& open) {
  Resolver(what, open).visit(root, 0);
}

}  // namespace tallow
