package control

import (
	"context"
	"errors"
	"net"
	"os/user"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type peerKey struct{}

// WithPeer keeps who is at the other end of a connection, for a server's ConnContext. The kernel vouches for it.
func WithPeer(ctx context.Context, connection net.Conn) context.Context {
	name := "unknown"
	if uid, ok := peerUID(connection); ok {
		name = userName(uid)
	}
	return context.WithValue(ctx, peerKey{}, name)
}

// userName is the name of a user, or its number where the system knows no name, as in most containers.
func userName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if found, err := user.LookupId(number); err == nil {
		return found.Username
	}
	return "uid " + number
}

// maxNote bounds what operators write about what they do.
const maxNote = 200

var errNote = errors.New("by: one line of 200 bytes at most says who or what this is for")

// by is who asks, with what they say of it themselves.
func by(ctx context.Context, note string) (string, error) {
	name, _ := ctx.Value(peerKey{}).(string)
	if len(note) > maxNote || !utf8.ValidString(note) || strings.ContainsFunc(note, unicode.IsControl) {
		return "", errNote
	}
	if note == "" {
		return name, nil
	}
	return name + ": " + note, nil
}
