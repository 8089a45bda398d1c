// Line editing by libedit, which is used here alone.
#include "line_editor.h"

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>

#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"

namespace tallow::app {

namespace {

/// What libedit's callbacks see.
struct Client {
  std::string prompt;
  bool interrupted = false;
  std::string typed;  // when interrupted
};

char* prompt_of(EditLine* edit) {
  Client* client = nullptr;
  el_get(edit, EL_CLIENTDATA, &client);
  return client->prompt.data();
}

/// Reads one character. libedit's own reader goes on after a signal; this one gives up.
int read_character(EditLine* edit, wchar_t* out) {
  Client* client = nullptr;
  el_get(edit, EL_CLIENTDATA, &client);
  std::mbstate_t shift{};
  for (;;) {
    if (!wait_readable(STDIN_FILENO)) {
      const LineInfo* info = el_line(edit);
      client->interrupted = true;
      client->typed.assign(info->buffer, info->lastchar);
      return -1;
    }
    char byte;
    const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
    if (n <= 0) return static_cast<int>(n);
    const size_t used = std::mbrtowc(out, &byte, 1, &shift);
    if (used == static_cast<size_t>(-2)) continue;
    if (used == static_cast<size_t>(-1)) *out = static_cast<unsigned char>(byte);
    return 1;
  }
}

void make_folders(const std::string& path) {
  for (size_t i = path.find('/', 1); i != std::string::npos; i = path.find('/', i + 1)) {
    ::mkdir(path.substr(0, i).c_str(), 0700);
  }
}

}  // namespace

struct LineEditor::State {
  Client client;
  std::string history_path;
  EditLine* edit = nullptr;
  History* history = nullptr;
};

LineEditor::LineEditor(std::string prompt, std::string history_path)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.client.prompt = std::move(prompt);
  s.history_path = std::move(history_path);
  // libedit reads characters by the locale; without one, assume UTF-8 as everybody does.
  const char* locale = std::setlocale(LC_CTYPE, "");
  if (!locale || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");

  s.edit = el_init("tallow", stdin, stdout, stderr);
  s.history = history_init();
  HistEvent event;
  history(s.history, &event, H_SETSIZE, 1000);
  history(s.history, &event, H_SETUNIQUE, 1);
  if (!s.history_path.empty()) history(s.history, &event, H_LOAD, s.history_path.c_str());
  el_set(s.edit, EL_CLIENTDATA, &s.client);
  el_set(s.edit, EL_PROMPT, prompt_of);
  el_set(s.edit, EL_EDITOR, "emacs");
  el_set(s.edit, EL_HIST, history, s.history);
  el_set(s.edit, EL_GETCFN, read_character);
  el_set(s.edit, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(s.edit, EL_BIND, "^W", "ed-delete-prev-word", nullptr);
  el_source(s.edit, nullptr);
}

LineEditor::~LineEditor() {
  HistEvent event;
  if (!state_->history_path.empty()) {
    history(state_->history, &event, H_SAVE, state_->history_path.c_str());
  }
  history_end(state_->history);
  el_end(state_->edit);
}

LineEditor::Result LineEditor::read(std::string& line) {
  state_->client.interrupted = false;
  int count = 0;
  el_resize(state_->edit);
  const char* text = el_gets(state_->edit, &count);
  if (state_->client.interrupted) {
    el_reset(state_->edit);
    line = state_->client.typed;
    return Result::interrupted;
  }
  if (!text || count <= 0) return Result::end;
  line.assign(text, static_cast<size_t>(count));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  return Result::line;
}

void LineEditor::remember(const std::string& line) {
  HistEvent event;
  history(state_->history, &event, H_ENTER, line.c_str());
}

std::string default_history_path() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::string path;
  if (state && *state == '/') {
    path = state;
  } else if (home && *home) {
    path = std::string(home) + "/.local/state";
  } else {
    return "";
  }
  path += "/tallow/history";
  make_folders(path);
  return path;
}

}  // namespace tallow::app
