"""Receives OTLP over HTTP and gRPC, and prints what the official definitions read in it, a JSON object a line.

The first line names the ports. It ends when its standard input does.
"""

import gzip
import json
import sys
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

lock = Lock()


def show(**what):
    with lock:
        print(json.dumps(what), flush=True)


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(member) for member in any_value.array_value.values]
    if kind == "kvlist_value":
        return attributes(any_value.kvlist_value.values)
    if kind == "bytes_value":
        return any_value.bytes_value.hex()
    return None if kind is None else getattr(any_value, kind)


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def show_traces(request, way):
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                show(
                    signal="span", way=way, resource=attributes(resource.resource.attributes),
                    name=span.name, trace=span.trace_id.hex(), span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(), kind=Span.SpanKind.Name(span.kind),
                    status=Status.StatusCode.Name(span.status.code),
                    nanos=span.end_time_unix_nano - span.start_time_unix_nano,
                    attributes=attributes(span.attributes),
                )


def show_logs(request, way):
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                show(
                    signal="log", way=way, resource=attributes(resource.resource.attributes),
                    scope=scope.scope.name, body=value(record.body),
                    severity=SeverityNumber.Name(record.severity_number),
                    text=record.severity_text, trace=record.trace_id.hex(),
                    span=record.span_id.hex(), flags=record.flags,
                    nanos=record.time_unix_nano, attributes=attributes(record.attributes),
                )


def show_metrics(request, way):
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    number = (
                        {"count": point.count, "sum": point.sum}
                        if hasattr(point, "count")
                        else getattr(point, point.WhichOneof("value"))
                    )
                    temporality = getattr(data, "aggregation_temporality", 0)
                    show(
                        signal="metric", way=way, name=metric.name,
                        resource=attributes(resource.resource.attributes),
                        type=metric.WhichOneof("data"), value=number,
                        monotonic=getattr(data, "is_monotonic", None),
                        temporality=AggregationTemporality.Name(temporality),
                        attributes=attributes(point.attributes),
                    )


SIGNALS = {
    "/v1/traces": (trace_service_pb2.ExportTraceServiceRequest, show_traces),
    "/v1/logs": (logs_service_pb2.ExportLogsServiceRequest, show_logs),
    "/v1/metrics": (metrics_service_pb2.ExportMetricsServiceRequest, show_metrics),
}


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 200
        try:
            if self.headers["Content-Type"] != "application/x-protobuf":
                raise ValueError(f"content type {self.headers['Content-Type']}")
            encoding = self.headers.get("Content-Encoding", "identity")
            if encoding not in ("gzip", "identity"):
                raise ValueError(f"content encoding {encoding}")
            message, show_request = SIGNALS[self.path]
            plain = gzip.decompress(body) if encoding == "gzip" else body
            show_request(message.FromString(plain), "http")
        except Exception as error:
            show(complaint=repr(error), path=self.path)
            status = 400
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        show_traces(request, "grpc")
        return trace_service_pb2.ExportTraceServiceResponse()


class Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def Export(self, request, context):
        show_logs(request, "grpc")
        return logs_service_pb2.ExportLogsServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        show_metrics(request, "grpc")
        return metrics_service_pb2.ExportMetricsServiceResponse()


http = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
http.daemon_threads = True
Thread(target=http.serve_forever, daemon=True).start()
rpc = grpc.server(futures.ThreadPoolExecutor(2))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), rpc)
logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Logs(), rpc)
metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), rpc)
port = rpc.add_insecure_port("127.0.0.1:0")
rpc.start()
show(http=http.server_address[1], grpc=port)
sys.stdin.read()
rpc.stop(0)
