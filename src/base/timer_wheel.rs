//! stub
pub struct TimerId; pub struct TimerWheel;
