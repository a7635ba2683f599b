'use strict'
// Takes mail from anybody and sends all of it to the sink, by way of Haraka's own queue on disk.

exports.register = function () {
    this.sink = this.config.get('bench_relay.json')
    this.register_hook('connect', 'let_in')
    this.register_hook('rcpt', 'accept')
    this.register_hook('get_mx', 'mx')
}

exports.let_in = (next, connection) => {
    connection.relaying = true
    next()
}

exports.accept = (next) => next(OK)

exports.mx = function (next) {
    next(OK, { exchange: this.sink.host, port: this.sink.port, priority: 0 })
}
