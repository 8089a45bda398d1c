// How text is rewritten, with an eye on where each character came from.
#include "text/tokenizer/rewrite.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tallow::text {
namespace {

struct Mapped {
  char32_t c;
  int32_t change;  // as in Replay
  int combining;
};

/// Marks in a row go in the order of their combining classes.
void order_marks(std::vector<Mapped>& text) {
  for (auto at = text.begin(); at != text.end();) {
    if (at->combining == 0) {
      ++at;
      continue;
    }
    const auto end = std::find_if(at, text.end(), [](const Mapped& m) { return m.combining == 0; });
    std::stable_sort(at, end,
                     [](const Mapped& a, const Mapped& b) { return a.combining < b.combining; });
    at = end;
  }
}

/// Joins each starter with the marks and letters behind it that nothing blocks (UAX #15).
void join_marks(std::vector<Mapped>& text) {
  size_t out = 0;
  constexpr size_t kNone = SIZE_MAX;
  size_t starter = kNone;
  int last = -1;  // the class of what stands between the starter and here; -1: nothing
  for (size_t i = 0; i < text.size(); ++i) {
    const Mapped here = text[i];
    const bool blocked = starter == kNone || (last >= 0 && last >= here.combining);
    if (const char32_t joined = blocked ? 0 : compose(text[starter].c, here.c)) {
      text[starter].c = joined;
      text[starter].change += here.change - 1;
      continue;
    }
    if (here.combining == 0) {
      starter = out;
      last = -1;
    } else {
      last = here.combining;
    }
    text[out++] = here;
  }
  text.resize(out);
}

}  // namespace

void Replay::flush() {
  if (held_ == kNothing) return;
  std::string spelled;
  append_utf8(spelled, held_);
  if (change_ > 0) {
    edit_.insert(spelled);
  } else {
    size_t end = edit_.at();
    for (int32_t n = 0; n <= -change_ && end < edit_.old().size(); ++n) {
      next_code_point(edit_.old(), end);
    }
    edit_.replace(end, spelled);
  }
  held_ = kNothing;
}

void prepend(AlignedText& text, std::string_view prefix, size_t limit) {
  if (text.size() == 0) return;
  Edit edit(text, limit);
  edit.replace(0, prefix);
  edit.commit();
}

void replace_all(AlignedText& text, std::string_view from, std::string_view to, size_t limit) {
  const std::string_view all = text.text();
  size_t at = all.find(from);
  if (at == all.npos) return;
  Edit edit(text, limit);
  for (; at != all.npos; at = all.find(from, edit.at())) {
    edit.keep(at);
    edit.drop(at + from.size());
    edit.insert(to);
  }
  edit.commit();
}

void normalize(AlignedText& text, NormalForm form, size_t limit) {
  const bool composes = form == NormalForm::nfc || form == NormalForm::nfkc;
  const bool compatibility = form == NormalForm::nfkc || form == NormalForm::nfkd;
  const std::string_view all = text.text();
  Edit edit(text, limit);
  bool changed = false;
  std::vector<Mapped> mapped;
  std::u32string parts;
  // ASCII composes only with what follows it, so text falls apart before every ASCII character.
  for (size_t i = 0; (i = skip_ascii(all, i)) < all.size();) {
    const size_t start = i > edit.at() ? i - 1 : i;
    while (i < all.size() && static_cast<unsigned char>(all[i]) >= 0x80) ++i;
    const std::string_view run = all.substr(start, i - start);
    if (!may_change(run, form)) continue;
    mapped.clear();
    for (size_t k = 0; k < run.size();) {
      parts.clear();
      decompose(next_code_point(run, k), compatibility, parts);
      int32_t change = 0;
      for (const char32_t c : parts) mapped.push_back({c, std::exchange(change, 1), combining(c)});
    }
    order_marks(mapped);
    if (composes) join_marks(mapped);
    edit.keep(start);
    Replay replay(edit);
    for (const Mapped& m : mapped) replay.put(m.c, m.change);
    replay.flush();
    edit.drop(i);
    changed = true;
  }
  if (changed) edit.commit();
}

void lowercase(AlignedText& text, size_t limit) {
  const std::string_view all = text.text();
  Edit edit(text, limit);
  bool changed = false;
  for (size_t i = 0; i < all.size();) {
    const size_t begin = i;
    const char32_t c = next_code_point(all, i);
    const char32_t lower = to_lower(c);
    if (lower == c && c != 0x130) continue;
    edit.keep(begin);
    std::string spelled;
    append_utf8(spelled, c == 0x130 ? 'i' : lower);
    edit.replace(i, spelled);
    if (c == 0x130) edit.insert("\xCC\x87");  // the one letter with two of lower case
    changed = true;
  }
  if (changed) edit.commit();
}

void byte_level(AlignedText& text, size_t limit) {
  const std::string_view all = text.text();
  Edit edit(text, std::max(limit, all.size() * 2));
  std::string spelled;
  for (size_t i = 0; i < all.size();) {
    const size_t begin = i;
    next_code_point(all, i);
    spelled.clear();
    append_byte_level(spelled, all.substr(begin, i - begin));
    edit.replace(i, spelled);
  }
  edit.commit();
}

}  // namespace tallow::text
