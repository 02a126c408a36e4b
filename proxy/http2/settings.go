package http2

import "encoding/binary"

// The settings (RFC 9113 section 6.5.2, RFC 8441, RFC 9218).
const (
	settingHeaderTableSize       = 0x1
	settingEnablePush            = 0x2
	settingMaxConcurrentStreams  = 0x3
	settingInitialWindowSize     = 0x4
	settingMaxFrameSize          = 0x5
	settingMaxHeaderListSize     = 0x6
	settingEnableConnectProtocol = 0x8
	settingNoRFC7540Priorities   = 0x9
)

const (
	settingSize = 6  // bytes in a frame
	maxSettings = 32 // of one frame
)

type setting struct {
	id    uint16
	value uint32
}

func appendSettings(dst []byte, settings ...setting) []byte {
	dst = appendFrameHeader(dst, settingSize*len(settings), frameSettings, 0, 0)
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, s.id)
		dst = binary.BigEndian.AppendUint32(dst, s.value)
	}
	return dst
}

// peer is what the other end has set.
type peer struct {
	initialWindow  int64
	frameSize      int
	streams        uint32 // how many this end may have open
	connectAllowed bool
	settled        bool // its first SETTINGS came
}

func newPeer() peer {
	return peer{initialWindow: initialWindow, frameSize: maxFrameSize, streams: maxStream}
}

// apply takes in one setting.
func (c *conn) apply(s setting) error {
	switch s.id {
	case settingHeaderTableSize:
		c.encoder.resize(s.value)
	case settingEnablePush:
		if s.value > 1 || s.value == 1 && c.client {
			return errSetting
		}
	case settingMaxConcurrentStreams:
		c.peer.streams = s.value
	case settingInitialWindowSize:
		if s.value > maxWindow {
			return errWindow
		}
		delta := int64(s.value) - c.peer.initialWindow
		c.peer.initialWindow = int64(s.value)
		for _, st := range c.streams {
			if err := st.widen(delta); err != nil {
				return errWindow // RFC 9113 section 6.9.2
			}
		}
	case settingMaxFrameSize:
		if s.value < maxFrameSize || s.value > 1<<24-1 {
			return errSetting
		}
		c.peer.frameSize = min(int(s.value), 64<<10)
	case settingEnableConnectProtocol:
		if s.value > 1 || s.value == 0 && c.peer.connectAllowed {
			return errSetting
		}
		c.peer.connectAllowed = s.value == 1
	case settingNoRFC7540Priorities:
		if s.value > 1 {
			return errSetting
		}
	}
	return nil
}

// onSettings takes in a SETTINGS frame, and acknowledges it.
func (c *conn) onSettings(h *frameHeader, payload []byte) error {
	if h.stream != 0 {
		return errNotZero
	}
	if h.has(flagAck) {
		if len(payload) != 0 {
			return errFrameSize
		}
		c.decoder.SetAllowedMaxDynamicTableSize(uint32(c.bounds.HeaderTable))
		return nil
	}
	if len(payload)%settingSize != 0 {
		return errFrameSize
	}
	if len(payload) > maxSettings*settingSize { // some concern every stream
		return errSettings
	}
	c.peer.settled = true
	for ; len(payload) > 0; payload = payload[settingSize:] {
		if err := c.apply(setting{binary.BigEndian.Uint16(payload), binary.BigEndian.Uint32(payload[2:])}); err != nil {
			return err
		}
	}
	return c.reply(appendFrameHeader(c.out.space(), 0, frameSettings, flagAck, 0))
}
