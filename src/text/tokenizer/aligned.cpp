// The bookkeeping of rewritten text.
#include "text/tokenizer/aligned.h"

#include "core/utf8.h"
#include "tallow/error.h"

namespace tallow::text {

void AlignedText::assign(const Piece& piece) {
  text_ = piece.text;
  first_ = piece.first;
  tracked_ = piece.origins != nullptr;
  origins_.clear();
  base_ = 0;
  if (!tracked_) return;
  origins_.assign(piece.origins, piece.origins + piece.text.size());
  if (!origins_.empty()) base_ = origins_[0].begin;
}

void AlignedText::assign(std::string_view text, size_t at, bool tracked) {
  text_ = text;
  first_ = at == 0;
  tracked_ = tracked;
  origins_.clear();
  base_ = static_cast<uint32_t>(at);
  if (!tracked) return;
  origins_.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    next_code_point(text, i);
    origins_.insert(origins_.end(), i - begin,
                    {static_cast<uint32_t>(at + begin), static_cast<uint32_t>(at + i)});
  }
}

void Edit::note(size_t bytes, Origin origin) {
  if (out_.size() + bytes > limit_) {
    fail("normalizer: a text grows past ", limit_, " bytes, 64 times what it was");
  }
  if (target_.tracked_) origins_.insert(origins_.end(), bytes, origin);
}

void Edit::keep(size_t end) {
  if (end <= at_) return;
  if (out_.empty()) {
    first_ = at_ == 0;
    out_.reserve(target_.text_.size() + target_.text_.size() / 8);
  }
  if (out_.size() + (end - at_) > limit_) note(end - at_, {});
  if (target_.tracked_) {
    const auto from = target_.origins_.begin();
    origins_.insert(origins_.end(), from + static_cast<ptrdiff_t>(at_),
                    from + static_cast<ptrdiff_t>(end));
  }
  out_.append(target_.text_, at_, end - at_);
  at_ = end;
}

void Edit::put(std::string_view text, size_t at) {
  if (out_.empty()) first_ = at == 0;
  note(text.size(),
       target_.tracked_ && at < target_.origins_.size() ? target_.origins_[at] : Origin{});
  out_ += text;
}

void Edit::replace(size_t end, std::string_view text) {
  put(text, at_);
  at_ = end;
}

void Edit::insert(std::string_view text) {
  if (out_.empty()) {  // what stands for the first character still begins there
    size_t one = 0;
    if (at_ > 0) next_code_point(target_.text_, one);
    first_ = at_ <= one;
  }
  note(text.size(), !target_.tracked_ ? Origin{}
                    : at_ > 0         ? target_.origins_[at_ - 1]
                                      : Origin{target_.base_, target_.base_});
  out_ += text;
}

void Edit::commit() {
  keep(target_.text_.size());
  commit_here();
}

void Edit::commit_here() {
  target_.text_ = std::move(out_);
  target_.origins_ = std::move(origins_);
  target_.first_ = target_.first_ && first_;
}

}  // namespace tallow::text
