// Package orders holds what an order is, how it comes about and how it moves. It
// knows neither the wire nor the database nor the services that are called:
// internal/rpc, internal/store, internal/jobs and internal/callee translate.
//
// An order and the reservation that holds its stock are kept by two services, so
// no transaction spans them. That they agree in the end rests on four facts; the
// record docs/decisions/2026-11-23-order-and-reservation.md argues in full:
//
//   - a reservation only moves forward: held, then committed, then returned; or
//     held, then released or expired. Where it ends, it holds nothing for good;
//   - an order becomes CONFIRMED only after its reservation was committed, and
//     only from PENDING;
//   - an order becomes CANCELLED in one transaction with a job that drives the
//     reservation to its end: it releases, and returns what cannot be released.
//     Only that job undoes a reservation that an order stands on;
//   - an order is accepted with the generation of its key under which it reserved.
//     A reservation is given up only after its generation has been raised, so no
//     order can be accepted on it any more.
//
// So a commit that comes late fails, or is undone by the job; and a CONFIRMED
// order's reservation cannot have been touched, as nothing was cancelled.
package orders
