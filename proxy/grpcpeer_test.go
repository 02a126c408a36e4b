package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcUpstream is a gRPC server whose service says what happens to its calls.
type grpcUpstream struct {
	target string     // as an upstream's target is written
	began  chan bool  // Wait was called, with a deadline or without
	ended  chan error // why Wait's call ended
}

// The methods of grpcUpstream. Messages are bytes.
const (
	grpcUnary    = "/test.Peer/Unary"    // gives the message back
	grpcCollect  = "/test.Peer/Collect"  // joins the messages of a stream
	grpcScatter  = "/test.Peer/Scatter"  // gives the message's bytes back one by one
	grpcChat     = "/test.Peer/Chat"     // gives each message back
	grpcWait     = "/test.Peer/Wait"     // waits until the call is given up
	grpcFail     = "/test.Peer/Fail"     // fails before any message
	grpcFailLate = "/test.Peer/FailLate" // fails after a message
)

// grpcMost is the size of the largest message.
const grpcMost = 16 << 20

// newGRPCUpstream starts the server, with TLS if secure.
func newGRPCUpstream(t *testing.T, secure bool) *grpcUpstream {
	t.Helper()
	up := &grpcUpstream{began: make(chan bool, 1), ended: make(chan error, 1)}
	set := []grpc.ServerOption{grpc.MaxRecvMsgSize(grpcMost), grpc.WaitForHandlers(true)}
	scheme := "h2c://"
	if secure {
		scheme = "https://"
		set = append(set, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{trusted}})))
	}
	server := grpc.NewServer(set...)
	service := grpc.ServiceDesc{ServiceName: "test.Peer"}
	for method, serve := range map[string]func(grpc.ServerStream) error{
		grpcUnary: grpcEcho, grpcCollect: grpcJoin, grpcScatter: grpcSplit, grpcChat: grpcEcho, grpcWait: up.wait,
		grpcFail: func(grpc.ServerStream) error { return grpcFailure() },
		grpcFailLate: func(s grpc.ServerStream) error {
			return errors.Join(s.SendMsg(wrapperspb.Bytes([]byte("first"))), grpcFailure())
		},
	} {
		service.Streams = append(service.Streams, grpc.StreamDesc{
			StreamName: strings.TrimPrefix(method, "/test.Peer/"), ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return serve(stream) },
		})
	}
	server.RegisterService(&service, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up.target = scheme + listener.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Errorf("the gRPC server: %v", err)
		}
	})
	return up
}

// grpcFailure is an error with all that one can have.
func grpcFailure() error {
	failed, err := status.New(codes.FailedPrecondition, "not 100 % – nor\nless").WithDetails(wrapperspb.Bytes([]byte{0, 255, '\n'}))
	return errors.Join(err, failed.Err())
}

// grpcEcho gives each message back, and the call's own metadata in its header and in its trailer.
func grpcEcho(stream grpc.ServerStream) error {
	came, _ := metadata.FromIncomingContext(stream.Context())
	header, trailer := metadata.MD{}, metadata.MD{}
	for name, values := range came {
		if strings.HasPrefix(name, "x-") {
			header[name], trailer["trailer-"+name] = values, values
		}
	}
	if err := stream.SendHeader(header); err != nil {
		return err
	}
	stream.SetTrailer(trailer)
	for {
		var message wrapperspb.BytesValue
		if err := stream.RecvMsg(&message); err != nil {
			return grpcEnd(err)
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

func grpcJoin(stream grpc.ServerStream) error {
	var whole []byte
	for {
		var message wrapperspb.BytesValue
		switch err := stream.RecvMsg(&message); {
		case err == io.EOF: //nolint:errorlint // grpc returns it as it is
			return stream.SendMsg(wrapperspb.Bytes(whole))
		case err != nil:
			return err
		}
		whole = append(whole, message.Value...)
	}
}

func grpcSplit(stream grpc.ServerStream) error {
	var message wrapperspb.BytesValue
	if err := stream.RecvMsg(&message); err != nil {
		return err
	}
	for _, b := range message.Value {
		if err := stream.SendMsg(wrapperspb.Bytes([]byte{b})); err != nil {
			return err
		}
	}
	return nil
}

// grpcEnd is nil at the end of a stream.
func grpcEnd(err error) error {
	if err == io.EOF { //nolint:errorlint // as above
		return nil
	}
	return err
}

func (up *grpcUpstream) wait(stream grpc.ServerStream) error {
	_, deadline := stream.Context().Deadline()
	up.began <- deadline
	<-stream.Context().Done()
	up.ended <- stream.Context().Err()
	return stream.Context().Err()
}

// grpc makes a gRPC client of the edge.
func (e *edge) grpc() *grpc.ClientConn {
	e.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+e.Addrs().HTTPS.String(), grpc.WithAuthority("localhost"),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: e.roots()})),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(grpcMost)))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// grpcStream opens a stream in which both ends may send at any time.
func grpcStream(ctx context.Context, conn *grpc.ClientConn, method string) (grpc.ClientStream, error) {
	return conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
}

// grpcSay sends a message and takes the one that comes back.
func grpcSay(stream grpc.ClientStream, message string) (string, error) {
	if err := stream.SendMsg(wrapperspb.Bytes([]byte(message))); err != nil {
		return "", err
	}
	var answer wrapperspb.BytesValue
	err := stream.RecvMsg(&answer)
	return string(answer.Value), err
}

// grpcRest is all messages that come until the stream ends, and its end, which is nil when it is sound.
func grpcRest(stream grpc.ClientStream) (messages []string, err error) {
	for {
		var message wrapperspb.BytesValue
		if err := stream.RecvMsg(&message); err != nil {
			return messages, grpcEnd(err)
		}
		messages = append(messages, string(message.Value))
	}
}
