// Messages are Boost.Beast's; connections, proxies and time limits are ours.
#include "hub/http.h"

#include <algorithm>
#include <charconv>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "hub/digest.h"
#include "hub/environment.h"
#include "hub/names.h"

namespace tallow::hub {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
namespace asio = boost::asio;
using boost::system::error_code;
using Kind = HubError::Kind;

constexpr uint32_t kMostHeaders = 256 << 10;

/// A Stream as asio's synchronous streams are. Exceptions wait in `error` until Beast is through.
class Adaptor {
 public:
  explicit Adaptor(Stream& stream) : stream_(stream) {}

  template <class Buffers>
  size_t read_some(const Buffers& buffers, error_code& ec) {
    const auto first = asio::buffer(*first_of(buffers));
    return guarded(ec, [&] {
      const size_t n = first.size() == 0 ? 0 : stream_.read_some(first.data(), first.size());
      if (n == 0 && first.size() != 0) ec = asio::error::eof;
      received_ += n;
      return n;
    });
  }
  template <class Buffers>
  size_t write_some(const Buffers& buffers, error_code& ec) {
    const auto first = asio::buffer(*first_of(buffers));
    return guarded(ec, [&] { return stream_.write_some(first.data(), first.size()); });
  }
  // Beast asks for these two, and calls the others.
  template <class Buffers>
  size_t read_some(const Buffers& buffers) {
    error_code ec;
    return read_some(buffers, ec);
  }
  template <class Buffers>
  size_t write_some(const Buffers& buffers) {
    error_code ec;
    return write_some(buffers, ec);
  }

  size_t received() const { return received_; }
  void rethrow() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  template <class Buffers>
  static auto first_of(const Buffers& buffers) {
    auto at = asio::buffer_sequence_begin(buffers);
    const auto end = asio::buffer_sequence_end(buffers);
    while (std::next(at) != end && asio::buffer_size(*at) == 0) ++at;
    return at;
  }
  template <class Call>
  size_t guarded(error_code& ec, const Call& call) {
    ec = {};
    try {
      return call();
    } catch (...) {
      error_ = std::current_exception();
      ec = asio::error::connection_aborted;
      return 0;
    }
  }

  Stream& stream_;
  size_t received_ = 0;
  std::exception_ptr error_;
};

template <class Message>
HttpReply reply_of(const Message& message) {
  HttpReply reply{static_cast<int>(message.result_int()), {}};
  for (const auto& field : message) {
    const auto name = field.name_string(), value = field.value();
    reply.headers.emplace_back(std::string(name.data(), name.size()),
                               std::string(value.data(), value.size()));
  }
  return reply;
}

/// One request and its answer over one connection.
class Exchange {
 public:
  Exchange(Stream& stream, const Url& peer) : adaptor_(stream), peer_(peer) {
    parser_.header_limit(kMostHeaders);
    parser_.body_limit(boost::none);
  }

  void send(const HttpRequest& request, const std::string& target) {
    http::request<http::empty_body> message;
    message.version(11);
    message.method_string(request.method);
    message.target(target);
    message.set(http::field::host, request.url.authority());
    for (const auto& [name, value] : request.headers) message.set(name, value);
    error_code ec;
    http::write(adaptor_, message, ec);
    check(ec, "sending");
  }

  HttpReply read_head(bool no_body) {
    parser_.skip(no_body);
    error_code ec;
    http::read_header(adaptor_, buffer_, parser_, ec);
    check(ec, "reading the answer");
    return reply_of(parser_.get());
  }

  void read_body(const Http::OnBody& on_body) {
    std::vector<char> piece(1 << 17);
    while (!parser_.is_done()) {
      parser_.get().body().data = piece.data();
      parser_.get().body().size = piece.size();
      error_code ec;
      http::read_some(adaptor_, buffer_, parser_, ec);
      if (ec == http::error::need_buffer) ec = {};
      const size_t got = piece.size() - parser_.get().body().size;
      if (got > 0) on_body({piece.data(), got});
      check(ec, "reading the body");
    }
  }

  /// Whether the connection can serve another request.
  bool reusable() const {
    return parser_.is_done() && parser_.get().keep_alive() && buffer_.size() == 0;
  }
  bool anything_received() const { return adaptor_.received() > 0; }

 private:
  void check(error_code ec, const char* doing) {
    if (!ec) return;
    adaptor_.rethrow();
    const bool ended = ec == asio::error::eof || ec == http::error::end_of_stream ||
                       ec == http::error::partial_message;
    if (ended) {
      fail_hub(Kind::network, peer_.authority(), ": closed the connection while ", doing);
    }
    if (ec == http::error::header_limit) {
      fail_hub(Kind::answer, peer_.authority(), ": sends more than ", kMostHeaders,
               " bytes of headers; is it a hub?");
    }
    fail_hub(Kind::answer, peer_.authority(), ": does not answer as HTTP does: ", ec.message());
  }

  Adaptor adaptor_;
  const Url& peer_;
  beast::flat_buffer buffer_;
  http::response_parser<http::buffer_body> parser_;
};

void add_proxy_credentials(HttpRequest& request, const Url& proxy) {
  if (proxy.user.empty()) return;
  request.headers.emplace_back("Proxy-Authorization", "Basic " + base64(proxy.user));
}

/// Asks the proxy for a way through to `url`.
void open_tunnel(Stream& stream, const Url& proxy, const Url& url) {
  const bool v6 = url.host.find(':') != url.host.npos;
  const std::string target = str(v6 ? "[" + url.host + "]" : url.host, ":", url.port);
  HttpRequest request{"CONNECT", url, {}};
  add_proxy_credentials(request, proxy);
  Exchange exchange(stream, proxy);
  exchange.send(request, target);
  const int status = exchange.read_head(/*no_body=*/true).status;
  if (status == 407) {
    fail_hub(Kind::denied, "the proxy ", proxy.authority(),
             " wants a password; write HTTPS_PROXY as http://user:password@host:port");
  }
  if (status / 100 != 2) {
    fail_hub(Kind::network, "the proxy ", proxy.authority(), " does not connect to ",
             url.authority(), ": status ", status);
  }
}

std::unique_ptr<Stream> open(const Url& url, const std::optional<Url>& proxy,
                             const Patience& patience) {
  auto stream = connect_tcp(proxy ? *proxy : url, patience);
  if (!url.secure()) return stream;
  if (proxy) open_tunnel(*stream, *proxy, url);
  return start_tls(std::move(stream), url);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

}  // namespace

std::optional<std::string_view> HttpReply::find(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equal_ignoring_case(key, name)) return value;
  }
  return {};
}

std::optional<int64_t> HttpReply::number(std::string_view name) const {
  const auto text = find(name);
  if (!text) return {};
  int64_t value = 0;
  const auto result = std::from_chars(text->data(), text->data() + text->size(), value);
  if (result.ec != std::errc() || result.ptr != text->data() + text->size() || value < 0) {
    fail_hub(Kind::answer, "header ", name, ": \"", text->substr(0, 80), "\" is not a size");
  }
  return value;
}

HttpReply Http::exchange(const HttpRequest& request, const Patience& patience,
                         const OnHead& on_head, const OnBody& on_body) {
  const std::optional<Url> proxy = proxy_for(request.url);
  const std::string key = str(request.url.scheme, " ", request.url.authority(), " ",
                              proxy ? proxy->authority() : std::string());
  HttpRequest sent = request;
  std::string target = request.url.target;
  if (proxy && !request.url.secure()) {
    target = request.url.text();
    add_proxy_credentials(sent, *proxy);
  }
  // Headers that come a byte at a time must end some day.
  using Clock = std::chrono::steady_clock;
  Patience head_patience = patience;
  const auto head_limit = std::chrono::duration<double>(6 * patience.seconds);
  head_patience.until = std::min(
      patience.until, Clock::now() + std::chrono::duration_cast<Clock::duration>(head_limit));
  for (;;) {
    std::unique_ptr<Stream> stream = take(key);
    const bool kept = stream != nullptr;
    if (kept) stream->set_patience(head_patience);
    if (!kept) stream = open(request.url, proxy, head_patience);
    Exchange exchange(*stream, proxy ? *proxy : request.url);
    HttpReply reply;
    try {
      exchange.send(sent, target);
      reply = exchange.read_head(request.method == "HEAD");
    } catch (const HubError& error) {
      if (!kept || error.kind() != Kind::network || exchange.anything_received()) throw;
      continue;  // the server had closed it meanwhile
    }
    if (reply.status == 407) {
      fail_hub(Kind::denied, "the proxy ", proxy ? proxy->authority() : request.url.authority(),
               " wants a password; write HTTP_PROXY as http://user:password@host:port");
    }
    stream->set_patience(patience);
    if (request.method != "HEAD") {
      if (!on_head(reply)) return reply;
      exchange.read_body(on_body);
    }
    if (exchange.reusable()) keep(key, std::move(stream));
    return reply;
  }
}

std::unique_ptr<Stream> Http::take(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto at =
      std::find_if(idle_.begin(), idle_.end(), [&](const Idle& i) { return i.key == key; });
  if (at == idle_.end()) return nullptr;
  auto stream = std::move(at->stream);
  idle_.erase(at);
  return stream;
}

void Http::keep(const std::string& key, std::unique_ptr<Stream> stream) {
  const std::lock_guard lock(mutex_);
  idle_.push_back({key, std::move(stream)});
}

HttpReply parse_reply_head(std::string_view text) {
  http::response_parser<http::empty_body> parser;
  parser.header_limit(kMostHeaders);
  error_code ec;
  parser.put(asio::buffer(text.data(), text.size()), ec);
  if (ec || !parser.is_header_done()) {
    fail_hub(Kind::answer, "the head of an answer: ", ec ? ec.message() : "is cut short");
  }
  return reply_of(parser.get());
}

}  // namespace tallow::hub
