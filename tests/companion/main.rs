//! The companion from outside: a real gateway between a simulated PBX, a simulated Daily and a simulated bot, over real
//! sockets. One test for each failure and its consequence; after each, nothing may be left of the call anywhere.

mod bot;
mod by_bot;
mod door;
mod fallback;
mod hang_up;
mod happy;
mod pipecat;
mod rest;
mod room;
mod target;
mod webhook;
mod world;
