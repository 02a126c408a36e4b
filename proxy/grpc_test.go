package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcPatience bounds every test of gRPC.
const grpcPatience = time.Minute

// eachGRPC runs a test against both kinds of upstreams.
func eachGRPC(t *testing.T, test func(ctx context.Context, t *testing.T, up *grpcUpstream, e *edge, conn *grpc.ClientConn)) {
	t.Helper()
	for name, secure := range map[string]bool{"h2c": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), grpcPatience)
			t.Cleanup(cancel)
			up := newGRPCUpstream(t, secure)
			e := start(t, site(up.target, `      - {path: /, upstream: app}`))
			test(ctx, t, up, e, e.grpc())
		})
	}
}

func TestGRPCCallsOfEveryKindPass(t *testing.T) {
	t.Parallel()
	eachGRPC(t, func(ctx context.Context, t *testing.T, _ *grpcUpstream, e *edge, conn *grpc.ClientConn) {
		var answer wrapperspb.BytesValue
		if err := conn.Invoke(ctx, grpcUnary, wrapperspb.Bytes([]byte("hello")), &answer); err != nil || string(answer.Value) != "hello" {
			t.Errorf("unary: %q, %v", answer.Value, err)
		}
		if err := conn.Invoke(ctx, grpcUnary, wrapperspb.Bytes(nil), &answer); err != nil || len(answer.Value) != 0 {
			t.Errorf("unary, empty: %q, %v", answer.Value, err)
		}

		stream, err := grpcStream(ctx, conn, grpcCollect)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if err := stream.SendMsg(wrapperspb.Bytes([]byte{byte(i)})); err != nil {
				t.Fatal(err)
			}
		}
		_ = stream.CloseSend()
		if got, err := grpcRest(stream); err != nil || len(got) != 1 || len(got[0]) != 100 {
			t.Errorf("a client's stream: %q, %v", got, err)
		}

		if stream, err = grpcStream(ctx, conn, grpcScatter); err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(wrapperspb.Bytes([]byte("abc"))); err != nil {
			t.Fatal(err)
		}
		_ = stream.CloseSend()
		if got, err := grpcRest(stream); err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("a server's stream: %q, %v", got, err)
		}

		if stream, err = grpcStream(ctx, conn, grpcChat); err != nil {
			t.Fatal(err)
		}
		for i := range 20 { // the next is sent only after this one came back
			if got, err := grpcSay(stream, fmt.Sprint("message ", i)); err != nil || got != fmt.Sprint("message ", i) {
				t.Fatalf("both ways, message %d: %q, %v", i, got, err)
			}
			if i != 10 {
				continue
			}
			if err := e.Reload(ctx); err != nil {
				t.Fatal(err)
			}
		}
		_ = stream.CloseSend()
		if got, err := grpcRest(stream); err != nil || len(got) != 0 {
			t.Errorf("both ways, at last: %q, %v", got, err)
		}
	})
}

func TestGRPCsMetadataPassesBothWays(t *testing.T) {
	t.Parallel()
	eachGRPC(t, func(ctx context.Context, t *testing.T, _ *grpcUpstream, _ *edge, conn *grpc.ClientConn) {
		sent := metadata.MD{"x-text": {"one", "two, three"}, "x-blob-bin": {"\x00\xff\r\n", ""}, "x-long": {strings.Repeat("long ", 2000) + "."}}
		var header, trailer metadata.MD
		err := conn.Invoke(metadata.NewOutgoingContext(ctx, sent), grpcUnary, wrapperspb.Bytes(nil), &wrapperspb.BytesValue{}, grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range sent {
			if got := header[name]; !slices.Equal(got, want) {
				t.Errorf("the header's %s: %.40q", name, got)
			}
			if got := trailer["trailer-"+name]; !slices.Equal(got, want) {
				t.Errorf("the trailer's %s: %.40q", name, got)
			}
		}
	})
}

func TestGRPCsErrorsPassWhole(t *testing.T) {
	t.Parallel()
	eachGRPC(t, func(ctx context.Context, t *testing.T, _ *grpcUpstream, _ *edge, conn *grpc.ClientConn) {
		want, _ := status.FromError(grpcFailure())
		for method, before := range map[string][]string{grpcFail: nil, grpcFailLate: {"first"}} {
			stream, err := grpcStream(ctx, conn, method)
			if err != nil {
				t.Fatal(err)
			}
			messages, err := grpcRest(stream)
			got := status.Convert(err)
			if !slices.Equal(messages, before) || got.Code() != want.Code() || got.Message() != want.Message() || fmt.Sprint(got.Details()) != fmt.Sprint(want.Details()) {
				t.Errorf("%s: %q, %v %v", method, messages, err, got.Details())
			}
		}
		if err := conn.Invoke(ctx, "/test.Peer/None", wrapperspb.Bytes(nil), &wrapperspb.BytesValue{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("a method that there is not: %v", err)
		}
	})
}

func TestAGRPCDeadlineArrivesAndEndsTheUpstreamsWork(t *testing.T) {
	t.Parallel()
	eachGRPC(t, func(ctx context.Context, t *testing.T, up *grpcUpstream, _ *edge, conn *grpc.ClientConn) {
		for most := 500 * time.Millisecond; ; most *= 2 {
			late, cancel := context.WithTimeout(ctx, most)
			defer cancel()
			err := conn.Invoke(late, grpcWait, wrapperspb.Bytes(nil), &wrapperspb.BytesValue{})
			if status.Code(err) != codes.DeadlineExceeded || ctx.Err() != nil {
				t.Fatalf("past the deadline: %v", err)
			}
			select {
			case deadline := <-up.began:
				if !deadline {
					t.Error("the upstream was not told the deadline")
				}
				if why := <-up.ended; why == nil {
					t.Error("the upstream's call ended by itself")
				}
				return
			default: // a machine so busy that the call did not come this far
			}
		}
	})
}

func TestAGRPCCallThatIsGivenUpEndsTheUpstreamsWork(t *testing.T) {
	t.Parallel()
	eachGRPC(t, func(ctx context.Context, t *testing.T, up *grpcUpstream, _ *edge, conn *grpc.ClientConn) {
		left, leave := context.WithCancel(ctx)
		go func() {
			<-up.began
			leave()
		}()
		if err := conn.Invoke(left, grpcWait, wrapperspb.Bytes(nil), &wrapperspb.BytesValue{}); status.Code(err) != codes.Canceled {
			t.Errorf("given up: %v", err)
		}
		if why := <-up.ended; !errors.Is(why, context.Canceled) { // it has no deadline: the edge told it
			t.Errorf("the upstream's call ends with %v", why)
		}
		if err := conn.Invoke(ctx, grpcUnary, wrapperspb.Bytes(nil), &wrapperspb.BytesValue{}); err != nil {
			t.Errorf("the next call: %v", err)
		}
	})
}

func TestLargeGRPCMessagesPass(t *testing.T) {
	t.Parallel()
	eachGRPC(t, func(ctx context.Context, t *testing.T, _ *grpcUpstream, _ *edge, conn *grpc.ClientConn) {
		content := noise(grpcMost - 64)
		var answer wrapperspb.BytesValue
		if err := conn.Invoke(ctx, grpcUnary, wrapperspb.Bytes(content), &answer); err != nil || !bytes.Equal(answer.Value, content) {
			t.Errorf("%d bytes come back, %v", len(answer.Value), err)
		}
	})
}

// noise is content that no compression makes smaller, always the same.
func noise(size int) []byte {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // it never fails
	return content
}

func TestAHundredGRPCStreamsShareAConnection(t *testing.T) {
	t.Parallel()
	eachGRPC(t, func(ctx context.Context, t *testing.T, _ *grpcUpstream, _ *edge, conn *grpc.ClientConn) {
		streams := make([]grpc.ClientStream, 100)
		for round := range 3 { // each has all streams open, and a message of each on its way
			for i := range streams {
				if round == 0 {
					var err error
					if streams[i], err = grpcStream(ctx, conn, grpcChat); err != nil {
						t.Fatal(err)
					}
				}
				if err := streams[i].SendMsg(wrapperspb.Bytes(fmt.Appendf(nil, "%d of %d", round, i))); err != nil {
					t.Fatal(err)
				}
			}
			for i, stream := range slices.Backward(streams) {
				var answer wrapperspb.BytesValue
				if err := stream.RecvMsg(&answer); err != nil || string(answer.Value) != fmt.Sprintf("%d of %d", round, i) {
					t.Fatalf("round %d, stream %d: %q, %v", round, i, answer.Value, err)
				}
			}
		}
		for i, stream := range streams {
			_ = stream.CloseSend()
			if rest, err := grpcRest(stream); err != nil || len(rest) != 0 {
				t.Errorf("stream %d ends with %q, %v", i, rest, err)
			}
		}
	})
}

func TestAGRPCCallWithoutAnUpstreamIsUnavailable(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	e := start(t, site("h2c://"+closed.Addr().String(), `      - {path: /, upstream: app}`))
	ctx, cancel := context.WithTimeout(t.Context(), grpcPatience)
	defer cancel()
	err = e.grpc().Invoke(ctx, grpcUnary, wrapperspb.Bytes(nil), &wrapperspb.BytesValue{})
	if status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

func TestGRPCReadsTheEdgesOwnFailures(t *testing.T) {
	t.Parallel()
	e := start(t, "rate_limits: {tight: {rate: 1/m, burst: 1}}\n"+site("127.0.0.1:1", "      - {path: /test.Peer/, upstream: app}\n      - {path: /limited.Peer/, upstream: app, rate_limit: tight}"))
	conn := e.grpc()
	for _, test := range []struct {
		method string
		want   codes.Code
	}{
		{"/test.Peer/Dead", codes.Unavailable}, {"/limited.Peer/Dead", codes.Unavailable}, {"/limited.Peer/Dead", codes.ResourceExhausted},
		{"/elsewhere.Peer/None", codes.Unimplemented},
	} {
		err := conn.Invoke(t.Context(), test.method, wrapperspb.Bytes(nil), &wrapperspb.BytesValue{})
		if failed := status.Convert(err); failed.Code() != test.want || failed.Message() == "" || strings.Contains(failed.Message(), "HTTP status") {
			t.Errorf("%s: %v, want %v", test.method, err, test.want)
		}
	}
	statuses := []int{}
	for _, line := range e.accessLines() {
		statuses = append(statuses, line.Status)
	}
	if !slices.Equal(statuses, []int{502, 502, 429, 404}) {
		t.Errorf("the log has %v, not what others would have been answered", statuses)
	}
}
