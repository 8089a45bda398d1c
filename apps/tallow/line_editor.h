// A line of input from a terminal, with editing and a history that is kept in a file.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace tallow::app {

class LineEditor {
 public:
  /// `history_path` is read now and written when the editor goes; empty: no file.
  LineEditor(std::string prompt, std::string history_path);
  ~LineEditor();

  enum class Result { line, interrupted, end };
  /// Reads a line, without its newline, into `line`; interrupted, what was typed so far. The
  /// terminal is as it was when it returns.
  Result read(std::string& line);
  void remember(const std::string& line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// ${XDG_STATE_HOME:-~/.local/state}/tallow/history, its folders made; empty when there is no home.
std::string default_history_path();

}  // namespace tallow::app
