//! Stand-ins for Apple and a mail relay, for the demo, the tests and the benchmarks. They are fakes and say so.
