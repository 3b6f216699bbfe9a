#include "coordinator/web/http_server.h"

#include <google/protobuf/util/json_util.h>
#include <httplib.h>
#include <sys/socket.h>

#include <string>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "coordinator/service/queries.h"
#include "coordinator/web/metrics_text.h"
#include "coordinator/web/page.h"

namespace mead::web {
namespace {

constexpr int kThreads = 16;
constexpr char kJson[] = "application/json";
constexpr char kText[] = "text/plain; charset=utf-8";

// The protobuf JSON mapping, zeros included: a reader need not know the defaults.
std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string json;
  // Fails only for Any of unknown types and broken timestamps: there are none.
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok()) json = "{}";
  json.push_back('\n');
  return json;
}

int HttpCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
      return 404;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
      return 503;
    default:
      return 500;
  }
}

template <class Message>
void Reply(httplib::Response& response, const absl::StatusOr<Message>& message) {
  if (message.ok()) {
    response.set_content(ToJson(*message), kJson);
    return;
  }
  // An error has the shape of a condition: a name and words.
  v1::Condition error;
  error.set_name(absl::StatusCodeToString(message.status().code()));
  error.set_message(std::string(message.status().message()));
  response.status = HttpCode(message.status().code());
  response.set_content(ToJson(error), kJson);
}

absl::StatusOr<v1::GetConfusionResponse> Confusion(const service::Queries& queries,
                                                   const httplib::Request& request) {
  v1::GetConfusionRequest query;
  query.set_trial_id(request.matches[1]);
  if (request.has_param("epoch")) {
    int epoch = 0;
    if (!absl::SimpleAtoi(request.get_param_value("epoch"), &epoch) || epoch < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "epoch is a number from 1 (0: the best), not '", request.get_param_value("epoch"), "'"));
    }
    query.set_epoch(epoch);
  }
  if (request.has_param("pooled")) {
    bool pooled = false;
    if (!absl::SimpleAtob(request.get_param_value("pooled"), &pooled)) {
      return absl::InvalidArgumentError(
          absl::StrCat("pooled is true or false, not '", request.get_param_value("pooled"), "'"));
    }
    query.set_pooled(pooled);
  }
  return queries.GetConfusion(query);
}

absl::StatusOr<v1::GetMetricsResponse> Metrics(const service::Queries& queries,
                                               const httplib::Request& request) {
  v1::GetMetricsRequest query;
  query.set_trial_id(request.matches[1]);
  for (size_t i = 0; i < request.get_param_value_count("name"); ++i) {
    query.add_names(request.get_param_value("name", i));
  }
  return queries.GetMetrics(query);
}

// As the system's defaults, but without SO_REUSEPORT: two coordinators on one
// port would share its connections at random instead of the second failing.
void SetSocketOptions(int socket) {
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(service::ServiceContext& shared) : context(shared), queries(shared) {}

  void AddRoutes();

  service::ServiceContext& context;
  service::Queries queries;
  service::Endpoint endpoint;
  httplib::Server server;
  std::jthread thread;
};

void HttpServer::Impl::AddRoutes() {
  using httplib::Request;
  using httplib::Response;
  const auto status = [this](const Request&, Response& response) {
    Reply(response, absl::StatusOr<v1::GetStatusResponse>(queries.GetStatus()));
  };
  server.Get("/status", status);
  server.Get("/api/v1/status", status);
  server.Get("/api/v1/nodes", [this](const Request&, Response& response) {
    Reply(response, absl::StatusOr<v1::ListNodesResponse>(queries.ListNodes()));
  });
  server.Get("/api/v1/datasets", [this](const Request&, Response& response) {
    Reply(response, absl::StatusOr<v1::ListDatasetsResponse>(queries.ListDatasets()));
  });
  server.Get("/api/v1/datasets/([^/]+)", [this](const Request& request, Response& response) {
    Reply(response, queries.GetDataset(request.matches[1].str()));
  });
  server.Get("/api/v1/sweeps", [this](const Request&, Response& response) {
    Reply(response, absl::StatusOr<v1::ListSweepsResponse>(queries.ListSweeps()));
  });
  server.Get("/api/v1/sweeps/([^/]+)", [this](const Request& request, Response& response) {
    Reply(response, queries.GetSweep(request.matches[1].str()));
  });
  server.Get("/api/v1/trials/([^/]+)", [this](const Request& request, Response& response) {
    Reply(response, queries.GetTrial(request.matches[1].str()));
  });
  server.Get("/api/v1/trials/([^/]+)/metrics", [this](const Request& request, Response& response) {
    Reply(response, Metrics(queries, request));
  });
  server.Get("/api/v1/trials/([^/]+)/confusion",
             [this](const Request& request, Response& response) {
               Reply(response, Confusion(queries, request));
             });

  server.Get("/healthz",
             [](const Request&, Response& response) { response.set_content("ok\n", kText); });
  server.Get("/readyz", [this](const Request&, Response& response) {
    // Ready means ready for new work; what already runs does not depend on it.
    const absl::Status admitted = context.disk.Admit();
    if (!admitted.ok()) response.status = 503;
    response.set_content(
        admitted.ok() ? "ready\n" : absl::StrCat(std::string(admitted.message()), "\n"), kText);
  });
  server.Get("/metrics", [this](const Request&, Response& response) {
    response.set_content(MetricsText(context), "text/plain; version=0.0.4; charset=utf-8");
  });
  server.Get("/", [](const Request&, Response& response) {
    response.set_header("Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; script-src "
                        "'unsafe-inline'; connect-src 'self'");
    response.set_content(kPage, "text/html; charset=utf-8");
  });
  server.set_error_handler([](const Request& request, Response& response) {
    if (!response.body.empty()) return;
    v1::Condition error;
    error.set_name(response.status == 404 ? "NOT_FOUND" : "ERROR");
    error.set_message(absl::StrCat("nothing is served at ", request.path,
                                   "; there are /, /status, /api/v1/..., /healthz, /readyz and "
                                   "/metrics"));
    response.set_content(ToJson(error), kJson);
  });
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { impl_->server.stop(); }

const service::Endpoint& HttpServer::endpoint() const { return impl_->endpoint; }

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(service::ServiceContext& context,
                                                              const service::Endpoint& listen) {
  if (absl::Status status = service::CheckCanListen(listen, "--http"); !status.ok()) return status;
  auto impl = std::make_unique<Impl>(context);
  httplib::Server& server = impl->server;
  server.set_socket_options(SetSocketOptions);
  server.set_tcp_nodelay(true);
  server.set_keep_alive_timeout(1);
  server.set_payload_max_length(1 << 16);
  server.set_default_headers(
      {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  impl->AddRoutes();
  int port = listen.port;
  const bool bound = port == 0 ? (port = server.bind_to_any_port(listen.host)) > 0
                               : server.bind_to_port(listen.host, port);
  if (!bound) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", service::EndpointText(listen),
                                               "; choose another address with --http"));
  }
  impl->endpoint = {listen.host, port};
  impl->thread = std::jthread([&server] { server.listen_after_bind(); });
  // stop() before the loop has begun would be forgotten; connections already
  // wait in the socket's queue.
  while (!server.is_running()) std::this_thread::yield();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace mead::web
