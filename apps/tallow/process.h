// What the operating system knows of this process, and the signals it may get.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace tallow::app {

/// When the process started: the clock at the first instruction after the loader's, less the
/// processor time that the process had used by then (exec and the loader).
std::chrono::steady_clock::time_point process_start();
double milliseconds_since_start(std::chrono::steady_clock::time_point time);

/// The most memory that was resident, in bytes. From VmHWM: getrusage counts what the parent held
/// before exec.
int64_t peak_rss_bytes();

/// Standard output was closed by its reader (`| head -1`): the command ends quietly.
struct ClosedPipe {};
/// Writes to standard output at once. Throws ClosedPipe, or Error when it cannot be written.
void write_stdout(std::string_view text);
/// All of standard input. Throws Error when it cannot be read or is over 1 GiB.
std::string read_stdin();
/// A whole file. Throws Error, naming it.
std::string read_file(const std::string& path);

/// Writing to a closed pipe is an error from here on, not a signal.
void ignore_closed_pipes();
/// Counts Ctrl-C from here on instead of dying of it; a second one that nobody cleared ends the
/// process.
void catch_interrupts();
/// Whether there was a Ctrl-C since clear_interrupt, or the system asked to terminate.
bool interrupted();
bool termination_requested();
void clear_interrupt();
/// Waits until `fd` has something to read; false when interrupted before that.
bool wait_readable(int fd);
/// Dies of the signal that interrupted, so that a shell's loop sees it.
[[noreturn]] void die_of_interrupt();

}  // namespace tallow::app
