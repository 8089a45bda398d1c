// The chat: lines from the terminal, answers streamed, one session whose cache grows with it.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <unistd.h>

#include "line_editor.h"
#include "process.h"
#include "run.h"
#include "tallow/error.h"

namespace tallow::app {
namespace {

constexpr const char* kHelp =
    "/clear         begin anew\n"
    "/system TEXT   set the system message and begin anew; without TEXT, show it\n"
    "/image FILE    show an image with the next message\n"
    "/audio FILE    play a sound with the next message\n"
    "/video FILE    show a video with the next message\n"
    "/stats         figures of the last answer\n"
    "/help          this list\n"
    "/exit          leave (or Ctrl-D)\n"
    "A line that ends in \\ goes on in the next. Ctrl-C stops an answer.\n";

class Chat {
 public:
  explicit Chat(Talker& talker) : talker_(talker) {
    if (talker.options.system) system_ = *talker.options.system;
    clear();
    media_ = talker.options.media;
  }

  /// Takes a line; false ends the chat.
  bool take(const std::string& line) {
    if (line.empty()) return true;
    if (line.front() == '/') return command(line);
    answer(line);
    return !termination_requested();
  }

 private:
  void clear() {
    messages_.clear();
    drop_media();
    if (!system_.empty()) messages_.push_back(message("system", system_));
  }

  void drop_media() {
    media_.images.clear();
    media_.sounds.clear();
    media_.videos.clear();
  }

  bool command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string rest = space == line.npos ? "" : line.substr(space + 1);
    if (name == "/exit" || name == "/quit") return false;
    if (name == "/help") {
      note(kHelp);
    } else if (name == "/clear") {
      clear();
    } else if (name == "/stats") {
      note(last_ ? talker_.figures(*last_) : "no answer yet\n");
    } else if (name == "/image") {
      attach(media_.images, rest);
    } else if (name == "/audio") {
      attach(media_.sounds, rest);
    } else if (name == "/video") {
      attach(media_.videos, rest);
    } else if (name == "/system" && rest.empty()) {
      note(system_.empty() ? "no system message\n" : system_ + "\n");
    } else if (name == "/system") {
      system_ = rest;
      clear();
    } else {
      note("unknown command " + name + "; /help lists them\n");
    }
    return true;
  }

  void attach(std::vector<std::string>& files, const std::string& path) {
    if (path.empty()) return note("give a file, as in /image photo.jpg\n");
    if (::access(path.c_str(), R_OK) != 0) return note(path + ": " + std::strerror(errno) + "\n");
    files.push_back(path);
    note("goes with the next message\n");
  }

  void answer(const std::string& line) {
    const size_t before = messages_.size();
    messages_.push_back(message(media_, line));
    drop_media();
    try {
      last_ = talker_.answer(
          talker_.templated() ? talker_.chat_prompt(messages_) : talker_.plain_prompt(line),
          /*quiet=*/false);
    } catch (const Error& error) {
      messages_.resize(before);
      note(std::string(error.what()) + " (/clear begins anew)\n");
      return;
    }
    if (!last_->text.ends_with('\n')) write_stdout("\n");
    messages_.push_back(message("assistant", last_->text));
    if (talker_.options.stats) note(talker_.figures(*last_));
    if (!termination_requested()) clear_interrupt();
  }

  static void note(const std::string& text) { std::fputs(text.c_str(), stderr); }

  Talker& talker_;
  std::string system_;
  Json::Array messages_;
  MediaFlags media_;  // of the next message
  std::optional<Generation> last_;
};

}  // namespace

int chat(Talker& talker) {
  LineEditor editor("> ", default_history_path());
  Chat chat(talker);
  std::fputs("Type a message; /help lists commands.\n", stderr);
  std::string text, line;
  for (;;) {
    switch (editor.read(line)) {
      case LineEditor::Result::end: write_stdout("\n"); return 0;
      case LineEditor::Result::interrupted:
        write_stdout("\n");
        if (termination_requested()) return 0;
        clear_interrupt();
        if (line.empty() && text.empty()) return 0;
        text.clear();
        continue;
      case LineEditor::Result::line: break;
    }
    text += line;
    if (text.ends_with('\\')) {
      text.back() = '\n';
      continue;
    }
    if (!text.empty()) editor.remember(text);
    if (!chat.take(text)) return 0;
    text.clear();
  }
}

}  // namespace tallow::app
