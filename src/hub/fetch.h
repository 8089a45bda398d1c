// Bringing one file over the network.
#pragma once

#include "hub/client.h"
#include "hub/partial_file.h"
#include "hub/work.h"

namespace tallow::hub {

struct FetchTask {
  Subject subject;
  Url url;           // of the hub; redirects lead on
  std::string etag;  // what the server must say, where it says something
  int64_t size;      // -1: not known
};

/// Files of this size and more come in ranges, on several connections.
inline constexpr int64_t kLarge = int64_t{32} << 20;

/// Appends what `partial` lacks of the file, in order. After broken connections it goes on where
/// they broke. Throws HubError.
void fetch(Client& client, const FetchTask& task, PartialFile& partial, Board& board,
           FileState& state);

}  // namespace tallow::hub
