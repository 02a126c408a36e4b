package guard

import (
	"bytes"
	"encoding/base64"

	"github.com/portico-web/portico/proxy/message"
)

// maxCredentials bounds name and password together, in base64.
const maxCredentials = 2 << 10

// BasicCredentials are the name and the password that a request brings by the Basic scheme (RFC 7617); a request brings them
// once or not at all.
func BasicCredentials(head *message.Head) (name string, password []byte, ok bool) {
	encoded, ok := credentials(head, "Basic")
	if !ok || len(encoded) > maxCredentials {
		return "", nil, false
	}
	decoded, err := base64.StdEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return "", nil, false
	}
	user, password, found := bytes.Cut(decoded, []byte(":"))
	return string(user), password, found
}

// credentials is what follows a scheme in the only Authorization field (RFC 9110 section 11.6.2).
func credentials(head *message.Head, scheme string) (after []byte, ok bool) {
	value := head.Get(message.Authorization)
	if head.Count(message.Authorization) != 1 || len(value) <= len(scheme) || value[len(scheme)] != ' ' || !message.EqualFold(value[:len(scheme)], scheme) {
		return nil, false
	}
	return bytes.TrimLeft(value[len(scheme):], " "), true
}
