/*
 * Malformed and borderline requests by RFC 9110 and 9112: each is refused by closing, and none of
 * them reaches the handler, whether it arrives at once or byte by byte. A complete good request
 * behind each bad one stands for what an attacker would smuggle.
 */
#include "http_peer.h"

#define X10(text)  text text text text text text text text text text
#define X100(text) X10(X10(text))
#define GOOD       "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
#define LINE       "POST / HTTP/1.1\r\n"
#define HOST       "Host: x\r\n"

struct probe {
    const char *name;
    const char *bytes;
    size_t size;
};
#define PROBE(name, bytes)                                                                         \
    {                                                                                              \
        name, bytes GOOD, sizeof(bytes GOOD) - 1                                                   \
    }

static const struct probe probes[] = {
    /* lengths */
    PROBE("length and chunked", LINE HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                                          "0\r\n\r\n"),
    PROBE("chunked and length", LINE HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
                                          "0\r\n\r\n"),
    PROBE("two lengths", LINE HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    PROBE("the same length twice", LINE HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"),
    PROBE("list of lengths", LINE HOST "Content-Length: 1, 1\r\n\r\na"),
    PROBE("plus sign", LINE HOST "Content-Length: +1\r\n\r\na"),
    PROBE("minus sign", LINE HOST "Content-Length: -1\r\n\r\na"),
    PROBE("hex length", LINE HOST "Content-Length: 0x1\r\n\r\na"),
    PROBE("empty length", LINE HOST "Content-Length:\r\n\r\n"),
    PROBE("blank length", LINE HOST "Content-Length:  \r\n\r\n"),
    PROBE("length with text", LINE HOST "Content-Length: 1a\r\n\r\na"),
    PROBE("length with a blank inside", LINE HOST "Content-Length: 1 1\r\n\r\na"),
    PROBE("decimal length", LINE HOST "Content-Length: 1.0\r\n\r\na"),
    PROBE("length beyond 64 bits", LINE HOST "Content-Length: 18446744073709551617\r\n\r\na"),
    PROBE("length of many zeros", LINE HOST "Content-Length: 00000000000000000000001\r\n\r\na"),
    PROBE("three lengths", LINE HOST "Content-Length: 1\r\nContent-Length: 1\r\nContent-Length: 1"
                                     "\r\n\r\na"),
    PROBE("two lengths in different case", LINE HOST "content-length: 1\r\nCONTENT-LENGTH: 2\r\n"
                                                     "\r\nab"),
    PROBE("length and a comma", LINE HOST "Content-Length: 1,\r\n\r\na"),
    PROBE("comma and a length", LINE HOST "Content-Length: ,1\r\n\r\na"),
    PROBE("quoted length", LINE HOST "Content-Length: \"1\"\r\n\r\na"),
    PROBE("length with a parameter", LINE HOST "Content-Length: 1;a=b\r\n\r\na"),
    PROBE("length with an underscore", LINE HOST "Content-Length: 1_0\r\n\r\na"),
    PROBE("length with an exponent", LINE HOST "Content-Length: 1e0\r\n\r\na"),
    PROBE("length of a wide digit", LINE HOST "Content-Length: \357\274\221\r\n\r\na"),
    PROBE("blank before the colon of a length", LINE HOST "Content-Length : 1\r\n\r\na"),
    PROBE("NUL behind the name of a length", LINE HOST "Content-Length\0: 1\r\n\r\na"),
    PROBE("folded length", LINE HOST "Content-Length:\r\n 1\r\n\r\na"),
    PROBE("length of 2^63", LINE HOST "Content-Length: 9223372036854775808\r\n\r\na"),
    PROBE("length beyond the limit", LINE HOST "Content-Length: 16777217\r\n\r\na"),
    PROBE("length and chunked in HTTP/1.0",
          "POST / HTTP/1.0\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
          "0\r\n\r\n"),
    PROBE("length with vertical tab", LINE HOST "Content-Length: \v1\r\n\r\na"),
    /* transfer codings */
    PROBE("chunked, identity", LINE HOST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    PROBE("identity, chunked", LINE HOST "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
    PROBE("gzip, chunked", LINE HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    PROBE("identity", LINE HOST "Transfer-Encoding: identity\r\n\r\n"),
    PROBE("xchunked", LINE HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    PROBE("chunked twice", LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
                                     "\r\n0\r\n\r\n"),
    PROBE("chunked, then identity line",
          LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    PROBE("quoted chunked", LINE HOST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    PROBE("chunked with parameter", LINE HOST "Transfer-Encoding: chunked;x=1\r\n\r\n0\r\n\r\n"),
    PROBE("chunked after vertical tab", LINE HOST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"),
    PROBE("chunked, chunked", LINE HOST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    PROBE("chunked, gzip", LINE HOST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    PROBE("chunked and a comma", LINE HOST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"),
    PROBE("comma and chunked", LINE HOST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    PROBE("chunked chunked", LINE HOST "Transfer-Encoding: chunked chunked\r\n\r\n0\r\n\r\n"),
    PROBE("folded chunked", LINE HOST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    PROBE("NUL behind chunked", LINE HOST "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n"),
    PROBE("form feed behind chunked", LINE HOST "Transfer-Encoding: chunked\f\r\n\r\n0\r\n\r\n"),
    PROBE("blank before the colon of chunked",
          LINE HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    PROBE("chunked in HTTP/1.0",
          "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    PROBE("empty transfer coding", LINE HOST "Transfer-Encoding:\r\n\r\n"),
#define CHUNKED LINE HOST "Transfer-Encoding: chunked\r\n\r\n"
    PROBE("chunk size with plus", CHUNKED "+1\r\na\r\n0\r\n\r\n"),
    PROBE("chunk size with minus", CHUNKED "-1\r\na\r\n0\r\n\r\n"),
    PROBE("chunk size with 0x", CHUNKED "0x1\r\na\r\n0\r\n\r\n"),
    PROBE("blank before chunk size", CHUNKED " 1\r\na\r\n0\r\n\r\n"),
    PROBE("blank behind chunk size", CHUNKED "1 \r\na\r\n0\r\n\r\n"),
    PROBE("last chunk with minus", CHUNKED "-0\r\n\r\n"),
    PROBE("last chunk with plus", CHUNKED "+0\r\n\r\n"),
    PROBE("blank behind the last chunk", CHUNKED "0 \r\n\r\n"),
    PROBE("tab before chunk size", CHUNKED "\t1\r\na\r\n0\r\n\r\n"),
    PROBE("underscore in chunk size", CHUNKED "1_0\r\na\r\n0\r\n\r\n"),
    PROBE("comma behind chunk size", CHUNKED "1,\r\na\r\n0\r\n\r\n"),
    PROBE("chunk size of 64 bits", CHUNKED "FFFFFFFFFFFFFFFF\r\na\r\n0\r\n\r\n"),
    PROBE("chunk size beyond the limit", CHUNKED "1000001\r\na\r\n0\r\n\r\n"),
    PROBE("second chunk beyond the limit", CHUNKED "1\r\na\r\n1000000\r\na\r\n0\r\n\r\n"),
    PROBE("chunk size ends in bare CR", CHUNKED "1\ra\r\n0\r\n\r\n"),
    PROBE("chunk ends in bare CR", CHUNKED "1\r\na\r0\r\n\r\n"),
    PROBE("chunk shorter than its size", CHUNKED "3\r\na\r\n0\r\n\r\n"),
    PROBE("long extension", CHUNKED "1;" X100("abc") "\r\na\r\n0\r\n\r\n"),
    PROBE("long extension of the last chunk", CHUNKED "0;" X100("abc") "\r\n\r\n"),
    PROBE("many extensions", CHUNKED X100("1;abc=d\r\na\r\n") "0\r\n\r\n"),
    PROBE("quoted bare LF in extension", CHUNKED "1;a=\"\n\"\r\na\r\n0\r\n\r\n"),
    PROBE("folded trailer", CHUNKED "0\r\n X: y\r\n\r\n"),
    PROBE("trailer with a Host", CHUNKED "0\r\nHost: y\r\n\r\n"),
    PROBE("chunk size overflow", CHUNKED "10000000000000001\r\na\r\n0\r\n\r\n"),
    PROBE("no chunk size", CHUNKED "\r\na\r\n0\r\n\r\n"),
    PROBE("chunk size of letters", CHUNKED "g\r\na\r\n0\r\n\r\n"),
    PROBE("chunk size ends in bare LF", CHUNKED "1\na\r\n0\r\n\r\n"),
    PROBE("chunk ends in bare LF", CHUNKED "1\r\na\n0\r\n\r\n"),
    PROBE("chunk longer than its size", CHUNKED "1\r\nab\r\n0\r\n\r\n"),
    PROBE("last chunk ends in bare LF", CHUNKED "0\n\r\n"),
    PROBE("end of chunks is a bare LF", CHUNKED "1\r\na\r\n0\r\n\n"),
    PROBE("trailer", CHUNKED "0\r\nX: y\r\n\r\n"),
    PROBE("trailer with a length", CHUNKED "0\r\nContent-Length: 3\r\n\r\n"),
    PROBE("bare CR in extension", CHUNKED "1;a\rb\r\na\r\n0\r\n\r\n"),
    PROBE("bare LF in extension", CHUNKED "1;a\nb\r\na\r\n0\r\n\r\n"),
    PROBE("NUL in extension", CHUNKED "1;a\0b\r\na\r\n0\r\n\r\n"),
    /* line ends and blanks */
    PROBE("bare LF everywhere", "GET / HTTP/1.1\nHost: x\n\n"),
    PROBE("bare LF after the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n"),
    PROBE("bare LF after a header", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"),
    PROBE("bare LF at the end", "GET / HTTP/1.1\r\nHost: x\r\n\n"),
    PROBE("bare CR in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n"),
    PROBE("bare CR before a line", "GET / HTTP/1.1\r\nHost: x\r\n\rA: b\r\n\r\n"),
    PROBE("CR CR LF", "GET / HTTP/1.1\r\r\nHost: x\r\n\r\n"),
    PROBE("fold with blank", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
    PROBE("fold with tab", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n"),
    PROBE("fold of the first header", "GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
    PROBE("fold that ends the header", "GET / HTTP/1.1\r\nHost: x\r\n \r\n\r\n"),
    PROBE("blank before colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
    PROBE("tab before colon", "GET / HTTP/1.1\r\nHost: x\r\nA\t: b\r\n\r\n"),
    PROBE("blank in a name", "GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n"),
    PROBE("no colon", "GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n"),
    PROBE("empty name", "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n"),
    PROBE("NUL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"),
    PROBE("NUL in a name", "GET / HTTP/1.1\r\nHost: x\r\nA\0B: c\r\n\r\n"),
    PROBE("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("control in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\001c\r\n\r\n"),
    PROBE("DEL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\177c\r\n\r\n"),
    PROBE("brackets in a name", "GET / HTTP/1.1\r\nHost: x\r\nA(b): c\r\n\r\n"),
    PROBE("non-ASCII name", "GET / HTTP/1.1\r\nHost: x\r\nA\303\244: c\r\n\r\n"),
    PROBE("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("bare LF first", "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("blank first", " GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("LF CR", "GET / HTTP/1.1\n\rHost: x\n\r\n\r"),
    PROBE("bare CR behind the request line", "GET / HTTP/1.1\rHost: x\r\n\r\n"),
    PROBE("bare LF in the target", "GET /a\nb HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("bare LF in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\nc\r\n\r\n"),
    PROBE("bare LF in a name", "GET / HTTP/1.1\r\nHost: x\r\nA\nB: c\r\n\r\n"),
    PROBE("NUL first", "\0GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("NUL in the method", "GE\0T / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("NUL in the version", "GET / HTTP/1.1\0\r\nHost: x\r\n\r\n"),
    PROBE("NUL between lines", "GET / HTTP/1.1\r\n\0\r\nHost: x\r\n\r\n"),
    PROBE("NUL in Host", "GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n"),
    PROBE("byte order mark first", "\357\273\277GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("folded Host", "GET / HTTP/1.1\r\nHost:\r\n x\r\n\r\n"),
    PROBE("line of blanks", "GET / HTTP/1.1\r\nHost: x\r\n\t \r\nA: b\r\n\r\n"),
    PROBE("name of a blank", "GET / HTTP/1.1\r\nHost: x\r\n : b\r\n\r\n"),
    PROBE("slash in a name", "GET / HTTP/1.1\r\nHost: x\r\nA/B: c\r\n\r\n"),
    PROBE("quote in a name", "GET / HTTP/1.1\r\nHost: x\r\nA\"B: c\r\n\r\n"),
    PROBE("comma in a name", "GET / HTTP/1.1\r\nHost: x\r\nA,B: c\r\n\r\n"),
    PROBE("equals in a name", "GET / HTTP/1.1\r\nHost: x\r\nA=B: c\r\n\r\n"),
    PROBE("brace in a name", "GET / HTTP/1.1\r\nHost: x\r\nA{B: c\r\n\r\n"),
    PROBE("at sign in a name", "GET / HTTP/1.1\r\nHost: x\r\nA@B: c\r\n\r\n"),
    PROBE("escape in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: \033[0m\r\n\r\n"),
    /* sizes */
    PROBE("long value", "GET / HTTP/1.1\r\nHost: x\r\nA: " X100(X100("ab")) "\r\n\r\n"),
    PROBE("long name", "GET / HTTP/1.1\r\nHost: x\r\n" X100(X100("ab")) ": c\r\n\r\n"),
    PROBE("long target", "GET /" X100(X100("ab")) " HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("long method", X100(X100("AB")) " / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("long line without an end", X100(X100("AB"))),
    PROBE("many headers", "GET / HTTP/1.1\r\nHost: x\r\n" X100("A: b\r\n") "\r\n"),
    /* Host */
    PROBE("no Host", "GET / HTTP/1.1\r\n\r\n"),
    PROBE("two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    PROBE("the same Host twice", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    PROBE("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n"),
    PROBE("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    PROBE("Host with a path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n"),
    PROBE("Host with a user", "GET / HTTP/1.1\r\nHost: a@x\r\n\r\n"),
    PROBE("Host with a comma", "GET / HTTP/1.1\r\nHost: x,y\r\n\r\n"),
    PROBE("Host with a blank", "GET / HTTP/1.1\r\nHost: x y\r\n\r\n"),
    PROBE("Host with two ports", "GET / HTTP/1.1\r\nHost: x:1:2\r\n\r\n"),
    PROBE("Host with letters as port", "GET / HTTP/1.1\r\nHost: x:y\r\n\r\n"),
    PROBE("Host of a port alone", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
    PROBE("Host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    PROBE("Host with text behind the bracket", "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"),
    PROBE("Host with a bracket inside", "GET / HTTP/1.1\r\nHost: x[1]\r\n\r\n"),
    PROBE("Host with an escape", "GET / HTTP/1.1\r\nHost: x%00\r\n\r\n"),
    PROBE("Host with a query", "GET / HTTP/1.1\r\nHost: x?a\r\n\r\n"),
    PROBE("Host with a fragment", "GET / HTTP/1.1\r\nHost: x#a\r\n\r\n"),
    PROBE("Host with a backslash", "GET / HTTP/1.1\r\nHost: x\\y\r\n\r\n"),
    PROBE("Host with other letters", "GET / HTTP/1.1\r\nHost: x\303\244\r\n\r\n"),
    PROBE("empty Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost:\r\n\r\n"),
    /* request line */
    PROBE("no target", "GET HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("method alone", "GET\r\nHost: x\r\n\r\n"),
    PROBE("four words", "GET / a HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("version twice", "GET / HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("half a version", "GET / HTTP/1.\r\nHost: x\r\n\r\n"),
    PROBE("comma in the version", "GET / HTTP/1,1\r\nHost: x\r\n\r\n"),
    PROBE("blank in the version", "GET / HTTP /1.1\r\nHost: x\r\n\r\n"),
    PROBE("HTTPS/1.1", "GET / HTTPS/1.1\r\nHost: x\r\n\r\n"),
    PROBE("vertical tab in the request line", "GET /\vHTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("an answer", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    PROBE("SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    PROBE("SOCKS", "\005\001\000"),
    PROBE("two blanks before the target", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("two blanks behind the target", "GET /  HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("tab in the request line", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("blank behind the version", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
    PROBE("no version", "GET /\r\nHost: x\r\n\r\n"),
    PROBE("HTTP/0.9", "GET / HTTP/0.9\r\nHost: x\r\n\r\n"),
    PROBE("HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n"),
    PROBE("HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    PROBE("HTTP/1.10", "GET / HTTP/1.10\r\nHost: x\r\n\r\n"),
    PROBE("HTTP/01.1", "GET / HTTP/01.1\r\nHost: x\r\n\r\n"),
    PROBE("http/1.1", "GET / http/1.1\r\nHost: x\r\n\r\n"),
    PROBE("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    PROBE("TLS hello", "\026\003\001\002"),
    PROBE("lower-case method", "get / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("unknown method", "FROB / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("method with a bracket", "GE(T / HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n"),
    /* target */
    PROBE("asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("no slash", "GET x HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("another authority", "GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("authority with a user", "GET http://a@x/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("another scheme", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("dot segment", "GET /a/../b HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("encoded dot segment", "GET /a/%2e%2E/b HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("single dot", "GET /a/. HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("encoded slash", "GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("encoded backslash", "GET /a%5cb HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("encoded NUL", "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("encoded line end", "GET /a%0d%0ab HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("absolute target without a host", "GET http:/// HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("another port", "GET http://x:81/ HTTP/1.1\r\nHost: x:80\r\n\r\n"),
    PROBE("asterisk with GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("overlong escapes", "GET /%c0%af HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("escaped surrogate", "GET /%ed%a0%80 HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("escaped tab", "GET /a%09b HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("half an escape", "GET /a%2 HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("bad escape", "GET /a%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("escaped bytes that are no UTF-8", "GET /a%ff HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("raw bytes", "GET /a\303\244 HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("backslash", "GET /a\\b HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"),
    PROBE("quote in the query", "GET /?a=\"b\" HTTP/1.1\r\nHost: x\r\n\r\n"),
    /* expectations */
    PROBE("unknown expectation", LINE HOST "Expect: 200-ok\r\n\r\n"),
    PROBE("list of expectations", LINE HOST "Expect: 100-continue, x\r\n\r\n"),
    PROBE("two expectations", LINE HOST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"),
};

static void
check_refused(struct fixture *fixture, const struct probe *probe, const struct mr_buf *reply)
{
    if (fixture->handled > 0)
        fail_msg("%s: reached the handler", probe->name);
    if (reply->size < 12 || memcmp(reply->data, "HTTP/1.1 ", 9) != 0 || reply->data[9] < '4')
        fail_msg("%s: answered %s", probe->name, reply->size > 0 ? reply->data : "nothing");
    if (count_text(reply, "\r\nDate: ") != 1)
        fail_msg("%s: answered more than once", probe->name);
    assert_non_null(strstr(reply->data, "Connection: close\r\n"));
}

static void
malformed_requests_are_refused_by_closing(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    for (size_t i = 0; i < MR_COUNT(probes); i++) {
        struct mr_buf reply;
        exchange(&fixture, probes[i].bytes, probes[i].size, &reply);
        check_refused(&fixture, &probes[i], &reply);
        mr_buf_fini(&reply);
    }
    mr_http_close(fixture.http);
}

static void
malformed_requests_are_refused_byte_by_byte(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    for (size_t i = 0; i < MR_COUNT(probes); i++) {
        struct mr_buf reply;
        mr_buf_init(&reply, 65536);
        int fd = client_open(&fixture);
        for (size_t at = 0; at < probes[i].size; at++)
            client_send(&fixture, fd, probes[i].bytes + at, 1);
        client_await(&fixture, fd, &reply, NULL, 0);
        check_refused(&fixture, &probes[i], &reply);
        (void)close(fd);
        mr_buf_fini(&reply);
    }
    mr_http_close(fixture.http);
}

/* In a packet of its own, when the refusal has been read already. */
static void
what_comes_behind_a_refusal_is_never_read(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    for (size_t i = 0; i < MR_COUNT(probes); i++) {
        struct mr_buf reply;
        mr_buf_init(&reply, 65536);
        int fd = client_open(&fixture);
        client_send(&fixture, fd, probes[i].bytes, probes[i].size);
        client_await(&fixture, fd, &reply, "\"error_code\"", 1);
        client_send(&fixture, fd, GOOD, sizeof(GOOD) - 1);
        client_await(&fixture, fd, &reply, NULL, 0);
        check_refused(&fixture, &probes[i], &reply);
        (void)close(fd);
        mr_buf_fini(&reply);
    }
    mr_http_close(fixture.http);
}

static void
malformed_requests_are_refused_over_tls(void **state)
{
    (void)state;
    struct fixture fixture;
    struct mr_http_tls tls = server_files();
    open_tls(&fixture, &tls, fixture_handle, NULL);
    for (size_t i = 0; i < MR_COUNT(probes); i++) {
        struct peer peer;
        struct mr_buf reply;
        mr_buf_init(&reply, 65536);
        peer_open(&fixture, &peer, 0, NULL);
        assert_true(peer_shake(&fixture, &peer));
        peer_send(&fixture, &peer, probes[i].bytes, probes[i].size);
        peer.failed = false;
        peer_await(&fixture, &peer, &reply, NULL, 0);
        check_refused(&fixture, &probes[i], &reply);
        peer_close(&peer);
        mr_buf_fini(&reply);
    }
    mr_http_close(fixture.http);
}

static void
good_requests_before_a_bad_one_are_answered(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    for (size_t i = 0; i < MR_COUNT(probes); i++) {
        struct mr_buf bytes, reply;
        mr_buf_init(&bytes, 65536);
        mr_buf_text(&bytes, "GET /one HTTP/1.1\r\nHost: x\r\n\r\n"
                            "POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
        mr_buf_put(&bytes, probes[i].bytes, probes[i].size);
        fixture.handled = 0;
        exchange(&fixture, bytes.data, bytes.size, &reply);
        if (fixture.handled != 2 || count_text(&reply, "HTTP/1.1 200 OK") != 2 ||
            count_text(&reply, "\r\nDate: ") != 3)
            fail_msg("%s: %zu handled, answered %s", probes[i].name, fixture.handled, reply.data);
        assert_true(strstr(reply.data, "GET /one ") < strstr(reply.data, "POST /two body"));
        mr_buf_fini(&bytes);
        mr_buf_fini(&reply);
    }
    mr_http_close(fixture.http);
}

/* The other side: what looks odd and is allowed. */
static void
odd_requests_are_taken(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "GET / HTTP/1.1\r\nHost: [::1]:8082\r\n",
        "GET / HTTP/1.1\r\nHost: a_b.c-d.\r\n",
        "GET / HTTP/1.1\r\nHost: x:\r\n",
        "GET / HTTP/1.1\r\nhOST:x\t \r\n",
        "GET http://x/ HTTP/1.1\r\nHost: x\r\n",
        "GET //a//?b=%00 HTTP/1.1\r\nHost: x\r\n",
        "GET / HTTP/1.0\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: x\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB: \303\244\r\n!#$%&'*+-.^_`|~: c\r\n",
        "DELETE / HTTP/1.1\r\nHost: x\r\nContent-Length: 00\r\n",
    };
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    for (size_t i = 0; i < MR_COUNT(odd); i++) {
        struct mr_buf bytes, reply;
        mr_buf_init(&bytes, 4096);
        mr_buf_text(&bytes, odd[i]);
        mr_buf_text(&bytes, "Connection: close\r\n\r\n");
        exchange(&fixture, bytes.data, bytes.size, &reply);
        if (reply.size == 0 || strstr(reply.data, "HTTP/1.1 200 OK\r\n") == NULL)
            fail_msg("%s: %s", odd[i], reply.size > 0 ? reply.data : "nothing");
        mr_buf_fini(&bytes);
        mr_buf_fini(&reply);
    }
    mr_http_close(fixture.http);
}

int
probe_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests_are_refused_by_closing),
        cmocka_unit_test(malformed_requests_are_refused_byte_by_byte),
        cmocka_unit_test(what_comes_behind_a_refusal_is_never_read),
        cmocka_unit_test(malformed_requests_are_refused_over_tls),
        cmocka_unit_test(good_requests_before_a_bad_one_are_answered),
        cmocka_unit_test(odd_requests_are_taken),
    };
    return cmocka_run_group_tests_name("http probes", tests, make_certs, drop_certs);
}
