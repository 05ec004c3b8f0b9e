-- Purpose: what can still be done about an hour names every mark that takes it out, whatever state it is in.

CREATE OR REPLACE FUNCTION hj212.remedy_of(stage text, state text, dry boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN state = 'flag' AND dry THEN 'declare the stop if the plant stood'
        WHEN state = 'mark' THEN 'end or void the device mark if it is wrong; declare the stop if the plant stood'
        WHEN state = 'partial' THEN 'send the hour again with all its values'
        ELSE CASE state WHEN 'flag' THEN 'send the hour again with corrected values; ' WHEN 'late' THEN ''
                        ELSE 'send the hour again; ' END
            || 'declare a stop, a standard-sample check, or a loss that is not the enterprise''s fault, if it was one' END
        || CASE WHEN stage = 'completed' THEN '; or enter manual values' ELSE '' END
$$;

CREATE OR REPLACE FUNCTION hj212.remedy_zh_of(stage text, state text, dry boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN state = 'flag' AND dry THEN '如已停运，补报停运标记'
        WHEN state = 'mark' THEN '标记有误的，结束或作废该标记；如已停运，补报停运标记'
        WHEN state = 'partial' THEN '补传该小时全部数值'
        ELSE CASE state WHEN 'flag' THEN '更正后补传该小时数据；' WHEN 'late' THEN '' ELSE '补传该小时数据；' END
            || '如属停运、标样核查或非排污单位责任，申报标记' END
        || CASE WHEN stage = 'completed' THEN '；或录入手工监测值' ELSE '' END
$$;
