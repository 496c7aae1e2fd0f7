"""What Redis runs, each at one stroke: judge a call, take in budget that PostgreSQL has set aside, take in a step."""

from __future__ import annotations

JUDGE = """
-- KEYS: the client, its further accounts, the stream of rows
-- ARGV: time, records, writer, sequence, row, seal, whether a challenge was met ('' for no);
-- then for each account: per_minute, per_day, lifetime ('' for none), and what a record costs of it
local accounts = #KEYS - 1
local now, records = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = {}
for i = 1, accounts do
  known[i] = redis.call('HMGET', KEYS[i], 'arrival', 'day', 'today', 'total', 'granted', 'granted_day')
  if not known[i][4] then return {'load'} end
end
local client = redis.call('HMGET', KEYS[1], 'until', 'seen', 'step')
now = math.max(now, tonumber(client[2] or '0'))
redis.call('HSET', KEYS[1], 'seen', string.format('%.17g', now))
local ends, step = tonumber(client[1] or '0'), tonumber(client[3] or '0')
if now >= ends then step = 0 end
if step >= 5 then return {'quarantined', string.format('%.17g', ends - now), step} end
if step == 4 and ARGV[7] == '' then return {'challenged', '0', step} end
for i = 1, accounts do
  for l = 1, 3 do
    local limit = tonumber(ARGV[7 + 4 * (i - 1) + l])
    if limit and records * tonumber(ARGV[7 + 4 * i]) > limit then return {'too large', '0', step, i, l} end
  end
end
local wait, whose, which = 0, 0, 0
local after = {}
for i = 1, accounts do
  local at = 7 + 4 * (i - 1)
  local n = records * tonumber(ARGV[at + 4])
  local rate, daily, lifetime = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local arrival, total = tonumber(known[i][1]), tonumber(known[i][4])
  local day = math.max(tonumber(known[i][2]), math.floor(now / 86400))
  local today = 0
  if tonumber(known[i][2]) == day then today = tonumber(known[i][3]) end
  if rate then
    arrival = math.max(arrival, now) + n * 60.0 / rate
    if arrival - 60.0 - now > wait then wait, whose, which = arrival - 60.0 - now, i, 1 end
  end
  if daily and today + n > daily and (day + 1) * 86400.0 - now > wait then
    wait, whose, which = (day + 1) * 86400.0 - now, i, 2
  end
  if lifetime and total + n > lifetime and 86400.0 > wait then wait, whose, which = 86400.0, i, 3 end
  after[i] = {arrival, day, today + n, total + n}
end
if wait > 1e-6 then return {'later', string.format('%.17g', wait), step, whose, which} end
for i = 1, accounts do
  local granted = tonumber(known[i][5])
  if after[i][4] > granted or tonumber(known[i][6]) ~= after[i][2] then
    local n = records * tonumber(ARGV[7 + 4 * i])
    return {'more', i, string.format('%d', after[i][4] - n), string.format('%d', after[i][3] - n),
            string.format('%d', after[i][2])}
  end
end
local spent = {}
for i = 1, accounts do
  spent[#spent + 1] = string.format('%d', after[i][3])
  spent[#spent + 1] = string.format('%d', after[i][4])
  redis.call('HSET', KEYS[i], 'arrival', string.format('%.17g', after[i][1]), 'day', string.format('%d', after[i][2]),
             'today', string.format('%d', after[i][3]), 'total', string.format('%d', after[i][4]))
end
redis.call('XADD', KEYS[#KEYS], '*', 'w', ARGV[3], 's', ARGV[4], 't', ARGV[5], 'm', ARGV[6])
return {'allowed', '0', step, unpack(spent)}
"""
GRANT = """
-- KEYS: an account. ARGV: granted, day, and where it is not loaded yet: arrival, today, total ('' to add alone)
local granted, day = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = redis.call('HMGET', KEYS[1], 'total', 'granted', 'granted_day')
if not known[1] then
  if ARGV[5] == '' then return 0 end
  redis.call('HSET', KEYS[1], 'arrival', ARGV[3], 'day', ARGV[2], 'today', ARGV[4], 'total', ARGV[5],
             'granted', ARGV[1], 'granted_day', ARGV[2])
  return 1
end
if granted > tonumber(known[2]) then redis.call('HSET', KEYS[1], 'granted', ARGV[1]) end
if day > tonumber(known[3]) then redis.call('HSET', KEYS[1], 'granted_day', ARGV[2]) end
return 1
"""
STEP = """
-- KEYS: a client. ARGV: number of the change, step, until, seen
local known = redis.call('HGET', KEYS[1], 'changed')
if not known or tonumber(ARGV[1]) > tonumber(known) then
  redis.call('HSET', KEYS[1], 'changed', ARGV[1], 'step', ARGV[2], 'until', ARGV[3])
end
local seen = redis.call('HGET', KEYS[1], 'seen')
if not seen or tonumber(ARGV[4]) > tonumber(seen) then redis.call('HSET', KEYS[1], 'seen', ARGV[4]) end
return 1
"""
