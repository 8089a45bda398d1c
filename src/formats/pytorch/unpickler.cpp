#include "formats/pytorch/unpickler.h"

#include <bit>

#include "tallow/error.h"

namespace tallow {

using SequenceKind = Object::SequenceKind;

std::optional<size_t> StorageTable::add(const std::string& key, DType dtype, int64_t bytes) {
  const auto [found, added] = index_.emplace(key, all_.size());
  if (added) all_.push_back({key, dtype, bytes});
  if (all_[found->second].bytes != bytes) return std::nullopt;
  return found->second;
}

ContainerPool::~ContainerPool() {
  for (const auto& sequence : sequences_) sequence->items.clear();
  for (const auto& dict : dicts_) dict->entries.clear();
}

Object ContainerPool::sequence(SequenceKind kind, Object::Items items) {
  sequences_.push_back(std::make_shared<Object::Sequence>());
  sequences_.back()->kind = kind;
  sequences_.back()->items = std::move(items);
  return sequences_.back();
}

Object ContainerPool::dict(bool ordered) {
  dicts_.push_back(std::make_shared<Object::Dict>());
  dicts_.back()->ordered = ordered;
  return dicts_.back();
}

void ContainerPool::release() {
  sequences_.clear();
  dicts_.clear();
}

Unpickler::Unpickler(ByteReader reader, std::string field, StorageTable& storages,
                     ContainerPool& pool)
    : reader_(reader),
      field_(std::move(field)),
      storages_(storages),
      pool_(pool),
      length_(reader.remaining()),
      budget_(reader.remaining()) {}

Object Unpickler::run() {
  constexpr uint8_t kStop = '.';
  for (uint8_t opcode = read<uint8_t>(); opcode != kStop; opcode = read<uint8_t>()) step(opcode);
  Object result = pop();
  if (!stack_.empty() || !marks_.empty()) bad("values are left over at the end; it is damaged");
  return result;
}

void Unpickler::step(uint8_t opcode) {
  if (step_value(opcode) || step_memo(opcode) || step_container(opcode) || step_call(opcode))
    return;
  bad("the opcode ", int{opcode}, " is not one that plain data needs");
}

std::string_view Unpickler::line() {
  const uint64_t start = reader_.offset();
  ByteReader ahead = reader_;
  while (ahead.read<char>(field_) != '\n') {
  }
  const std::string_view whole = text(ahead.offset() - start);
  return whole.substr(0, whole.size() - 1);
}

Object Unpickler::integer(uint64_t bytes) {
  const std::string_view digits = text(bytes);
  if (bytes > 8) return Object::BigInteger{std::make_shared<const std::string>(digits)};
  int64_t value = bytes > 0 && (digits.back() & 0x80) ? -1 : 0;
  std::memcpy(&value, digits.data(), bytes);
  return value;
}

void Unpickler::spend(size_t amount) {
  if (amount > budget_) bad("copies more than it holds; it is made to fill the memory");
  budget_ -= amount;
}

void Unpickler::spend_of(size_t storage, int64_t bytes) {
  constexpr int64_t kMost = 8;  // copies of all of it
  int64_t most = 0;
  if (__builtin_mul_overflow(storages_.all()[storage].bytes, kMost, &most)) most = INT64_MAX;
  if (bytes > most - copied_[storage]) {
    bad("copies more than it holds; it is made to fill the memory");
  }
  copied_[storage] += bytes;
}

Object Unpickler::pop() {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) bad("takes a value from an empty stack; it is damaged");
  Object value = std::move(stack_.back());
  stack_.pop_back();
  return value;
}

Object& Unpickler::top() {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) bad("looks at a value of an empty stack; it is damaged");
  return stack_.back();
}

Object::Items Unpickler::pop_to_mark() {
  if (marks_.empty()) bad("takes values up to a mark that is not there; it is damaged");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  Object::Items items(std::make_move_iterator(first), std::make_move_iterator(stack_.end()));
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

/// Numbers, texts and constants.
bool Unpickler::step_value(uint8_t opcode) {
  const auto bytes = [&](uint64_t n, bool is_mutable) {
    push(Object::Bytes{std::make_shared<const std::string>(text(n)), is_mutable});
  };
  switch (opcode) {
    case 0x80:  // PROTO
      if (const auto version = read<uint8_t>(); version > 5) {
        bad("its protocol ", int{version}, " is not supported, only 0 to 5");
      }
      return true;
    case 0x95: read<uint64_t>(); return true;  // FRAME
    case 'N': push(Object()); return true;
    case 0x88: push(true); return true;
    case 0x89: push(false); return true;
    case 'J': push(int64_t{read<int32_t>()}); return true;
    case 'K': push(int64_t{read<uint8_t>()}); return true;
    case 'M': push(int64_t{read<uint16_t>()}); return true;
    case 0x8a: push(integer(read<uint8_t>())); return true;
    case 0x8b: push(integer(read<uint32_t>())); return true;
    case 'G': push(std::bit_cast<double>(__builtin_bswap64(read<uint64_t>()))); return true;
    case 'U':
    case 0x8c: push(std::string(text(read<uint8_t>()))); return true;
    case 'T':
    case 'X': push(std::string(text(read<uint32_t>()))); return true;
    case 0x8d: push(std::string(text(read<uint64_t>()))); return true;
    case 'C': bytes(read<uint8_t>(), false); return true;
    case 'B': bytes(read<uint32_t>(), false); return true;
    case 0x8e: bytes(read<uint64_t>(), false); return true;
    case 0x96: bytes(read<uint64_t>(), true); return true;
    default: return false;
  }
}

void Unpickler::remember(uint64_t slot) {
  const Object& value = top();
  // A pickle that is sound counts its slots from 0.
  if (slot > length_) bad("the slot ", slot, " of the memo is beyond its length; it is damaged");
  if (slot >= memo_.size()) memo_.resize(slot + 1);
  memo_[slot] = value;
}

void Unpickler::recall(uint64_t slot) {
  if (slot >= memo_.size()) bad("the slot ", slot, " of the memo is empty; it is damaged");
  push(memo_[slot]);
}

/// The stack and the memo.
bool Unpickler::step_memo(uint8_t opcode) {
  switch (opcode) {
    case '(': marks_.push_back(stack_.size()); return true;
    case '0': pop(); return true;
    case '1': pop_to_mark(); return true;
    case '2': push(Object(top())); return true;
    case 'q': remember(read<uint8_t>()); return true;
    case 'r': remember(read<uint32_t>()); return true;
    case 0x94: remember(memo_.size()); return true;
    case 'h': recall(read<uint8_t>()); return true;
    case 'j': recall(read<uint32_t>()); return true;
    default: return false;
  }
}

void Unpickler::extend(Object::Items items, SequenceKind kind) {
  Object::Sequence* sequence = top().items();
  if (!sequence || sequence->kind != kind) {
    bad("adds items to ", top().kind_name(), ", which is no ",
        kind == SequenceKind::set ? "set" : "list", "; it is damaged");
  }
  for (Object& item : items) sequence->items.push_back(std::move(item));
}

void Unpickler::set_items(Object::Items items) {
  Object::Dict* dict = top().members();
  if (!dict) bad("sets items of ", top().kind_name(), ", which is no dict; it is damaged");
  if (items.size() % 2 != 0) bad("sets a key without a value; it is damaged");
  for (size_t i = 0; i < items.size(); i += 2) {
    dict->entries.emplace_back(std::move(items[i]), std::move(items[i + 1]));
  }
}

bool Unpickler::step_container(uint8_t opcode) {
  const auto tuple = [&](size_t count) {
    Object::Items items(count);
    while (count > 0) items[--count] = pop();
    push(pool_.sequence(SequenceKind::tuple, std::move(items)));
  };
  switch (opcode) {
    case ']': push(pool_.sequence(SequenceKind::list)); return true;
    case ')': tuple(0); return true;
    case '}': push(pool_.dict()); return true;
    case 0x8f: push(pool_.sequence(SequenceKind::set)); return true;
    case 'l': push(pool_.sequence(SequenceKind::list, pop_to_mark())); return true;
    case 't': push(pool_.sequence(SequenceKind::tuple, pop_to_mark())); return true;
    case 0x91: push(pool_.sequence(SequenceKind::frozenset, pop_to_mark())); return true;
    case 0x85: tuple(1); return true;
    case 0x86: tuple(2); return true;
    case 0x87: tuple(3); return true;
    case 'a': {
      Object::Items items(1);
      items[0] = pop();
      extend(std::move(items), SequenceKind::list);
      return true;
    }
    case 'e': extend(pop_to_mark(), SequenceKind::list); return true;
    case 0x90: extend(pop_to_mark(), SequenceKind::set); return true;
    case 's': {
      Object::Items items(2);
      items[1] = pop();
      items[0] = pop();
      set_items(std::move(items));
      return true;
    }
    case 'u': set_items(pop_to_mark()); return true;
    case 'd': {
      Object::Items items = pop_to_mark();
      push(pool_.dict());
      set_items(std::move(items));
      return true;
    }
    default: return false;
  }
}

bool Unpickler::step_call(uint8_t opcode) {
  switch (opcode) {
    case 'c': {
      const std::string_view module = line();
      push_global(module, line());
      return true;
    }
    case 0x93: {  // STACK_GLOBAL
      const Object name = pop(), module = pop();
      if (!name.text() || !module.text()) bad("names a global without strings; it is damaged");
      push_global(*module.text(), *name.text());
      return true;
    }
    case 'Q': push_storage(pop()); return true;
    case 'R':
    case 0x81: {
      const Object arguments = pop(), callable = pop();
      push(call(callable, arguments));
      return true;
    }
    case 'b': build(pop()); return true;
    default: return false;
  }
}

void Unpickler::push_global(std::string_view module, std::string_view name) {
  auto found = find_pickle_global(module, name);
  if (!found) {
    const std::string full = str(module, ".", name);
    bad(quoted(full), " is refused: ", pickle_remedy(full));
  }
  push(std::move(*found));
}

/// ("storage", class, key, location, elements[, (key of a view, first, elements)])
void Unpickler::push_storage(const Object& id) {
  const Object::Sequence* parts = id.items();
  if (!parts || parts->items.size() < 5) bad("a persistent id is no storage's; it is damaged");
  const std::string* kind = parts->items[0].text();
  const auto* type = dynamic_cast<const PickleGlobal*>(parts->items[1].internal());
  const std::string* key = parts->items[2].text();
  const int64_t* numel = parts->items[4].integer();
  if (!kind || *kind != "storage" || !type || !type->storage || !key || !numel || *numel < 0) {
    bad("a persistent id is no storage's; it is damaged");
  }
  auto ref = std::make_shared<StorageRef>();
  ref->dtype = *type->storage;
  ref->numel = *numel;
  const int64_t width = info(ref->dtype).bytes;
  int64_t bytes;
  if (__builtin_mul_overflow(*numel, width, &bytes)) {
    bad("the storage ", quoted(*key), " of ", *numel, " elements overflows 64 bits");
  }
  const auto storage = storages_.add(*key, ref->dtype, bytes);
  if (!storage) bad("the storage ", quoted(*key), " is mentioned with two sizes");
  ref->storage = *storage;
  if (parts->items.size() > 5 && !parts->items[5].is_none()) {
    const Object::Sequence* view = parts->items[5].items();
    const int64_t* first = view && view->items.size() == 3 ? view->items[1].integer() : nullptr;
    const int64_t* count = first ? view->items[2].integer() : nullptr;
    if (!count || *first < 0 || *count < 0 || *first > *numel || *count > *numel - *first) {
      bad("a view of the storage ", quoted(*key), " leads out of it; it is damaged");
    }
    ref->first = *first * width;
    ref->numel = *count;
  }
  push(std::shared_ptr<Object::Internal>(std::move(ref)));
}

Object Unpickler::call(const Object& callable, const Object& arguments) {
  const auto* global = dynamic_cast<const PickleGlobal*>(callable.internal());
  if (!global) bad("calls ", callable.kind_name(), "; it is damaged");
  const Object::Sequence* list = arguments.items();
  if (!list) bad("calls ", quoted(global->name), " without a tuple of arguments; it is damaged");
  if (!global->call) bad("calls ", quoted(global->name), ", which is no function of plain data");
  return global->call(*this, list->items);
}

/// Attributes of an object: TorchScript's modules keep theirs as entries of a dict. Those of
/// containers and tensors are of no use here.
void Unpickler::build(const Object& state) {
  Object& target = top();
  Object::Dict* dict = target.members();
  if (!dict && !dynamic_cast<PendingTensor*>(target.internal())) {
    bad("sets attributes of ", target.kind_name(), "; it is damaged");
  }
  if (!dict || dict->ordered) return;
  if (const Object::Dict* attributes = state.members()) {
    if (attributes == dict) bad("sets an object as its own attributes; it is damaged");
    spend(attributes->entries.size());
    for (const auto& entry : attributes->entries) dict->entries.push_back(entry);
  } else {
    dict->entries.emplace_back(Object("__state__"), state);
  }
}

}  // namespace tallow
