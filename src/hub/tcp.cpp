// TCP over the system's sockets, which never block: waiting is poll's, a slice at a time.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <nss.h>
#endif

#include "hub/names.h"
#include "hub/stream.h"

namespace tallow::hub {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = HubError::Kind;

/// The loader's address is that of the one that ran; a static program needed none.
bool is_static_program() { return ::getauxval(AT_BASE) == 0; }

/// Files and DNS are inside a static program; other sources of names it would load from the
/// machine, whose C library may be another one.
void use_own_resolver() {
#ifdef __GLIBC__
  static const int configured = __nss_configure_lookup("hosts", "files dns");
  (void)configured;
#endif
}

class Socket final : public Stream {
 public:
  Socket(int fd, std::string peer, const Patience& patience)
      : fd_(fd), peer_(std::move(peer)), patience_(patience) {}
  ~Socket() override { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  size_t read_some(void* to, size_t bytes) override {
    return transfer(POLLIN, "reading", [&] { return ::recv(fd_, to, bytes, 0); });
  }
  size_t write_some(const void* from, size_t bytes) override {
    return transfer(POLLOUT, "writing", [&] { return ::send(fd_, from, bytes, MSG_NOSIGNAL); });
  }
  void set_patience(const Patience& patience) override { patience_ = patience; }

  /// Throws HubError when the connection is not made.
  void connect(const sockaddr* address, socklen_t length) {
    if (::connect(fd_, address, length) == 0) return;
    if (errno != EINPROGRESS && errno != EINTR) broken("cannot connect", errno);
    wait(POLLOUT, "connecting");
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) broken("cannot connect", error);
  }

 private:
  template <class Call>
  size_t transfer(short events, const char* doing, const Call& call) {
    for (;;) {
      const ssize_t n = call();
      if (n >= 0) return static_cast<size_t>(n);
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait(events, doing);
      } else if (errno != EINTR) {
        broken(doing, errno);
      }
    }
  }

  void wait(short events, const char* doing) {
    const auto budget = std::chrono::duration<double>(patience_.seconds);
    const auto limit = std::min(patience_.until,
                                Clock::now() + std::chrono::duration_cast<Clock::duration>(budget));
    for (;;) {
      if (patience_.cancel && *patience_.cancel)
        fail_hub(Kind::cancelled, "the download was stopped");
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(limit - Clock::now()).count();
      if (left <= 0) {
        fail_hub(Kind::network, peer_, ": no answer in time while ", doing,
                 "; HF_HUB_DOWNLOAD_TIMEOUT sets how many seconds to wait");
      }
      pollfd wanted{fd_, events, 0};
      const int slice = static_cast<int>(std::min<int64_t>(left + 1, 100));
      if (::poll(&wanted, 1, slice) > 0) return;
    }
  }

  [[noreturn]] void broken(const char* doing, int error) const {
    fail_hub(Kind::network, peer_, ": ", doing, ": ", std::strerror(error));
  }

  int fd_;
  std::string peer_;
  Patience patience_;
};

/// The system's addresses of a host, freed at the end.
struct Addresses {
  addrinfo* list = nullptr;
  explicit Addresses(const Url& url) {
    if (is_static_program()) use_own_resolver();
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    const int error =
        ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &list);
    if (error != 0) {
      fail_hub(Kind::network, url.host, ": ", ::gai_strerror(error),
               "; is the network up, and the name right?");
    }
  }
  ~Addresses() { ::freeaddrinfo(list); }
  Addresses(const Addresses&) = delete;
  Addresses& operator=(const Addresses&) = delete;
};

}  // namespace

std::unique_ptr<Stream> connect_tcp(const Url& url, const Patience& patience) {
  const Addresses addresses(url);
  for (const addrinfo* a = addresses.list; a; a = a->ai_next) {
    const int fd = ::socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    auto socket = std::make_unique<Socket>(fd, url.authority(), patience);
    try {
      socket->connect(a->ai_addr, a->ai_addrlen);
    } catch (const HubError& error) {
      if (error.kind() == Kind::cancelled || !a->ai_next) throw;
      continue;
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return socket;
  }
  fail_hub(Kind::network, url.authority(), ": cannot open a socket: ", std::strerror(errno));
}

}  // namespace tallow::hub
