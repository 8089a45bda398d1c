#include "tallow/object.h"

namespace tallow {

Object Object::sequence(SequenceKind kind, Items items) {
  auto made = std::make_shared<Sequence>();
  made->kind = kind;
  made->items = std::move(items);
  return made;
}

Object Object::dict(Entries entries, bool ordered) {
  auto made = std::make_shared<Dict>();
  made->ordered = ordered;
  made->entries = std::move(entries);
  return made;
}

const Object* Object::Dict::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (const std::string* text = name.text(); text && *text == key) return &value;
  }
  return nullptr;
}

const char* Object::kind_name() const {
  constexpr const char* kNames[] = {
      "None",       "a bool",     "an integer", "a number",         "a number",
      "a string",   "a tensor",   "a dtype",    "a device",         "bytes",
      "an integer", "a sequence", "a dict",     "an internal value"};
  return kNames[value_.index()];
}

}  // namespace tallow
