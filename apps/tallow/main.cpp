// The command `tallow`: reads the command line, runs the subcommand, and reports what went wrong in
// one line. Exit codes: 0 success, 1 what was given is wrong, 2 wrong usage.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "options.h"
#include "process.h"

namespace tallow::app {
namespace {

int dispatch(const Command& command) {
  switch (command.kind) {
    case Command::Kind::run: return run(command.run);
    case Command::Kind::logits: return logits(command.logits);
    case Command::Kind::tokenize: return tokenize(command.tokenize);
    case Command::Kind::train_tokenizer: return train_tokenizer(command.train_tokenizer);
    case Command::Kind::inspect: return inspect(command.inspect);
    case Command::Kind::convert: return convert(command.convert);
    case Command::Kind::download: return download(command.download);
    case Command::Kind::cache: return cache(command.cache);
    case Command::Kind::quantize: return quantize(command.quantize);
    case Command::Kind::imatrix: return imatrix(command.imatrix);
    case Command::Kind::bench: return bench(command.bench);
    case Command::Kind::none: break;
  }
  return command.exit_code;
}

int report(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fprintf(stderr, "tallow: %s\n", message.c_str());
  return 1;
}

}  // namespace
}  // namespace tallow::app

int main(int argc, char** argv) {
  using namespace tallow::app;
  try {
    ignore_closed_pipes();
    return dispatch(parse_command(argc, argv));
  } catch (const ClosedPipe&) {
    return 0;
  } catch (const std::bad_alloc&) {
    return report("out of memory; a smaller --context or model needs less");
  } catch (const std::exception& error) {
    return report(error.what());
  }
}
