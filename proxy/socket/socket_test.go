package socket_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-web/portico/proxy/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const soon = 20 * time.Second

// pair is two ends of a TCP connection, the first of them wrapped.
func pair(t testing.TB) (*socket.Conn, *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	far, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := socket.New(near.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); _ = far.Close() })
	_ = far.SetDeadline(time.Now().Add(3 * soon))
	return conn, far.(*net.TCPConn)
}

func read(t *testing.T, conn io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v were read, want %q", got, err, want)
	}
}

// started gives f the time to begin to wait.
func started(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	time.Sleep(20 * time.Millisecond)
	return done
}

func within(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(3 * soon):
		t.Fatal("it waits on")
		return nil
	}
}

func readByte(conn io.Reader) func() error {
	return func() error {
		_, err := conn.Read(make([]byte, 1))
		return err
	}
}

func TestReadsEndAtTheirDeadlineAndNotBefore(t *testing.T) {
	t.Parallel()
	for _, patience := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 1200 * time.Millisecond} {
		conn, far := pair(t)
		begin := time.Now()
		conn.ReadWithin(begin, patience)
		if err := readByte(conn)(); !errors.Is(err, socket.ErrTimeout) {
			t.Errorf("%v: %v", patience, err)
		}
		if waited := time.Since(begin); waited < patience {
			t.Errorf("%v: it ended after %v", patience, waited)
		}
		// A timeout is not the end.
		_, _ = far.Write([]byte("x"))
		conn.ReadWithin(time.Now(), soon)
		read(t, conn, "x")
	}
}

func TestALaterDeadlineTakesThePlaceOfAnEarlierOne(t *testing.T) {
	t.Parallel()
	conn, far := pair(t)
	conn.ReadWithin(time.Now(), 10*time.Millisecond)
	conn.ReadWithin(time.Now(), soon)
	done := started(readByte(conn))
	time.Sleep(50 * time.Millisecond)
	_, _ = far.Write([]byte("x"))
	if err := within(t, done); err != nil {
		t.Error(err)
	}
	conn.ReadWithin(time.Now(), soon)
	conn.ReadWithin(time.Now(), 10*time.Millisecond)
	if err := readByte(conn)(); !errors.Is(err, socket.ErrTimeout) {
		t.Errorf("an earlier one does not: %v", err)
	}
	conn.ReadWithin(time.Now(), 10*time.Millisecond)
	conn.ReadBy(time.Time{})
	done = started(readByte(conn))
	time.Sleep(50 * time.Millisecond)
	_, _ = far.Write([]byte("x"))
	if err := within(t, done); err != nil {
		t.Errorf("without one: %v", err)
	}
}

func TestAReadCanBeInterruptedAndResumed(t *testing.T) {
	t.Parallel()
	conn, far := pair(t)
	for _, patience := range []time.Duration{0, soon} {
		if patience > 0 {
			conn.ReadWithin(time.Now(), patience)
		}
		done := started(readByte(conn))
		conn.Interrupt()
		if err := within(t, done); !errors.Is(err, socket.ErrInterrupted) {
			t.Errorf("the read that waited: %v", err)
		}
		conn.ReadWithin(time.Now(), soon)
		if err := readByte(conn)(); !errors.Is(err, socket.ErrInterrupted) {
			t.Errorf("a later read: %v", err)
		}
		conn.Resume()
		_, _ = far.Write([]byte("x"))
		read(t, conn, "x")
	}
}

func TestInterruptsAndDeadlinesMayMeet(t *testing.T) {
	t.Parallel()
	conn, _ := pair(t)
	for range 300 {
		done := make(chan error, 1)
		go func() {
			for {
				conn.ReadWithin(time.Now(), time.Millisecond)
				if err := readByte(conn)(); !errors.Is(err, socket.ErrTimeout) {
					done <- err
					return
				}
			}
		}()
		time.Sleep(time.Millisecond)
		conn.Interrupt()
		if err := within(t, done); !errors.Is(err, socket.ErrInterrupted) {
			t.Fatal(err)
		}
		conn.Resume()
	}
}

func TestTLSOutlivesTimeoutsAndInterrupts(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	conn, far := pair(t)
	server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	client := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	hands := started(client.Handshake)
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, hands); err != nil {
		t.Fatal(err)
	}
	conn.ReadWithin(time.Now(), 10*time.Millisecond)
	if err := readByte(server)(); !errors.Is(err, socket.ErrTimeout) {
		t.Errorf("at the deadline: %v", err)
	}
	conn.ReadWithin(time.Now(), soon)
	done := started(readByte(server))
	conn.Interrupt()
	if err := within(t, done); !errors.Is(err, socket.ErrInterrupted) {
		t.Errorf("interrupted: %v", err)
	}
	conn.Resume()
	_, _ = client.Write([]byte("alive"))
	read(t, server, "alive")
}

func TestAWriteThatGetsOnIsNotEnded(t *testing.T) {
	t.Parallel()
	conn, far := pair(t)
	_ = conn.Stream.(*net.TCPConn).SetWriteBuffer(16 << 10)
	_ = far.SetReadBuffer(16 << 10)
	conn.WriteWithin(100 * time.Millisecond)
	const size = 1 << 20
	done := started(func() error {
		n, err := conn.Write(make([]byte, size))
		if err == nil && n != size {
			err = io.ErrShortWrite
		}
		return err
	})
	// It takes much longer than the bound for a standstill.
	piece := make([]byte, size/20)
	for range 20 {
		if _, err := io.ReadFull(far, piece); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Millisecond)
	}
	if err := within(t, done); err != nil {
		t.Error(err)
	}
}

func TestAWriteThatStandsStillIsEnded(t *testing.T) {
	t.Parallel()
	conn, _ := pair(t)
	conn.WriteWithin(100 * time.Millisecond)
	done := started(func() error {
		for {
			if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
				return err
			}
		}
	})
	if err := within(t, done); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestAShorterBoundOfWritesTakesThePlaceOfALongerOne(t *testing.T) {
	t.Parallel()
	conn, _ := pair(t)
	conn.WriteWithin(10 * soon)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	conn.WriteWithin(100 * time.Millisecond)
	done := started(func() error {
		for {
			if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
				return err
			}
		}
	})
	if err := within(t, done); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestTheBoundOfWritesCanBeTakenAway(t *testing.T) {
	t.Parallel()
	conn, far := pair(t)
	conn.WriteWithin(20 * time.Millisecond)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	conn.WriteWithin(0)
	time.Sleep(50 * time.Millisecond)
	if _, err := conn.Write([]byte("y")); err != nil {
		t.Error(err)
	}
	read(t, far, "xy")
}

func TestHungUpAndQuietTellOfTheOtherEnd(t *testing.T) {
	t.Parallel()
	conn, far := pair(t)
	if conn.HungUp() || !conn.Quiet() {
		t.Error("a connection that stands: HungUp or not Quiet")
	}
	_, _ = far.Write([]byte("x"))
	eventually(t, "bytes to arrive", func() bool { return !conn.Quiet() })
	if conn.HungUp() {
		t.Error("bytes that wait pass for a hang-up")
	}
	_ = far.CloseWrite()
	eventually(t, "the end to arrive behind bytes that wait", conn.HungUp)
	read(t, conn, "x")
	if !conn.HungUp() || conn.Quiet() {
		t.Error("after the end: not HungUp or Quiet")
	}
	_ = conn.Close()
	if !conn.HungUp() || conn.Quiet() {
		t.Error("a closed connection: not HungUp or Quiet")
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestAResetIsNoEnd(t *testing.T) {
	t.Parallel()
	conn, far := pair(t)
	conn.Reset()
	if _, err := far.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the other end reads %v", err)
	}
	conn, far = pair(t)
	_ = far.SetLinger(0)
	_ = far.Close()
	eventually(t, "the reset to be known", conn.HungUp)
}

func TestCopiesGoThroughReadAndWrite(t *testing.T) {
	t.Parallel()
	conn, _ := pair(t)
	if _, shortcut := any(conn).(io.ReaderFrom); shortcut {
		t.Error("io.Copy would write past Write")
	}
	if _, shortcut := any(conn).(io.WriterTo); shortcut {
		t.Error("io.Copy would read past Read")
	}
}

func TestWhatHappensWithEachRequestAllocatesNothing(t *testing.T) {
	conn, far := pair(t)
	conn.WriteWithin(soon)
	one := make([]byte, 1)
	if allocations := testing.AllocsPerRun(100, func() {
		_, _ = far.Write(one)
		conn.ReadWithin(time.Now(), soon)
		_, _ = conn.Read(one)
		_, _ = conn.Write(one)
		_, _ = far.Read(one)
		conn.HungUp()
		conn.Quiet()
	}); allocations > 0 {
		t.Errorf("%v allocations", allocations)
	}
}
