"""HTTP on sockets: connections, limits, TLS, and the bytes of answers. It knows requests and replies, and no Hub."""
