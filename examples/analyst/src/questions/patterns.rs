//! The rules as data: what each reads, the statement that answers it, its chart and its sentence.
//!
//! `reads` is matched with a question's skeleton (see [`super::slots`]), from which the parameters and filler words
//! such as "the" and "are" are gone.

use super::slots::Slot;
use crate::answer::Answer;
use crate::chart::ChartKind;

/// One rule.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) id: &'static str,
    pub(crate) about: &'static str,
    pub(crate) examples: &'static [&'static str],
    /// A regular expression for the whole skeleton.
    pub(crate) reads: &'static str,
    /// The parameters without which the rule does not apply.
    pub(crate) needs: &'static [Slot],
    /// The parameters that narrow the rows down, with their condition, which replaces `{filters}`.
    pub(crate) filters: &'static [(Slot, &'static str)],
    pub(crate) sql: &'static str,
    pub(crate) chart: Option<ChartKind>,
    pub(crate) title: &'static str,
    pub(crate) answer: Answer,
}

impl Pattern {
    /// Whether the rule has a use for the parameter.
    pub(crate) fn takes(&self, slot: Slot) -> bool {
        self.needs.contains(&slot)
            || self.filters.iter().any(|(of, _)| *of == slot)
            || (slot == Slot::Count && self.sql.contains(":count"))
    }
}

const ORIGIN: (Slot, &str) = (Slot::Airport, "origin = :airport");
const FLIGHT_MONTH: (Slot, &str) = (Slot::Month, "month = :month");
const STRIKE_STATE: (Slot, &str) = (Slot::State, "state = :state_name");
const STRIKE_YEAR: (Slot, &str) = (Slot::Year, "year = :year");
const STRIKE_MONTH: (Slot, &str) = (Slot::Month, "month = :month");
const STRIKES: &[(Slot, &str)] = &[STRIKE_STATE, STRIKE_YEAR, STRIKE_MONTH];

/// The rules, those about flights first. The first that reads a question answers it.
pub(crate) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "busiest_airports",
        about: "airports by number of departures",
        examples: &[
            "What are the 5 busiest airports?",
            "Which airports have the most departures in March?",
        ],
        reads: "(which |what )?(busiest airports|airports (busiest|most (departures|flights)))( by departures)?",
        needs: &[],
        filters: &[FLIGHT_MONTH],
        sql: "SELECT b.origin AS airport, b.flights, a.city || ', ' || a.state AS place FROM \
              (SELECT origin, count(*) AS flights FROM flights WHERE {filters} GROUP BY origin \
              ORDER BY flights DESC, origin LIMIT :count) b JOIN airports a ON a.iata = b.origin \
              ORDER BY b.flights DESC, b.origin",
        chart: Some(ChartKind::Bar),
        title: "Busiest airports",
        answer: Answer::Ranking { what: "departures" },
    },
    Pattern {
        id: "most_delayed_airports",
        about: "airports by average departure delay, of those with at least 20 flights",
        examples: &[
            "Which airports have the longest delays?",
            "What 5 airports have the worst delays in March?",
        ],
        reads: "(which |what )?airports (longest|worst|most|highest) (average )?(departure )?delays?",
        needs: &[],
        filters: &[FLIGHT_MONTH],
        sql: "SELECT origin AS airport, round(avg(delay), 1) AS average_delay, count(*) AS flights FROM flights \
              WHERE {filters} GROUP BY origin HAVING flights >= 20 ORDER BY average_delay DESC, origin LIMIT :count",
        chart: Some(ChartKind::Bar),
        title: "Average delay in minutes",
        answer: Answer::Ranking { what: "minutes of average delay" },
    },
    Pattern {
        id: "compare_airports",
        about: "two airports' delays side by side",
        examples: &["Compare delays at ORD and DFW", "Compare Atlanta with Denver"],
        reads: "compare (average )?(departure )?delays?|",
        needs: &[Slot::Airport, Slot::Other],
        filters: &[(Slot::Airport, "origin IN (:airport, :other)"), FLIGHT_MONTH],
        sql: "SELECT origin AS airport, round(avg(delay), 1) AS average_delay, count(*) AS flights, \
              max(delay) AS longest_delay FROM flights WHERE {filters} AND origin IN (:airport, :other) \
              GROUP BY origin ORDER BY average_delay DESC, origin",
        chart: Some(ChartKind::Bar),
        title: "Average delay in minutes",
        answer: Answer::Ranking { what: "minutes of average delay" },
    },
    Pattern {
        id: "flights_between",
        about: "flights from one airport to another: number, delay and distance",
        examples: &[
            "How many flights are there from ORD to LGA?",
            "How late are flights from Dallas to Austin?",
        ],
        reads: "(how many|how late)? ?(flights?|delays?|average delay)( go)?|(what )?average delay( flights)?",
        needs: &[Slot::Airport, Slot::Other],
        filters: &[ORIGIN, (Slot::Other, "destination = :other"), FLIGHT_MONTH],
        sql: "SELECT count(*) AS flights, round(avg(delay), 1) AS average_delay, max(delay) AS longest_delay, \
              max(distance) AS miles FROM flights WHERE {filters}",
        chart: None,
        title: "Flights",
        answer: Answer::Sentence(
            "{flights} flights cover the {miles} miles; their average delay is {average_delay} minutes and the \
             longest {longest_delay}.",
        ),
    },
    Pattern {
        id: "airport_delay",
        about: "one airport's average and longest delay",
        examples: &[
            "What is the average delay at ATL?",
            "How late are flights from Denver in February?",
        ],
        reads: "((what )?average (departure )?delay|how late flights)( flights)?",
        needs: &[Slot::Airport],
        filters: &[ORIGIN, FLIGHT_MONTH],
        sql: "SELECT origin AS airport, count(*) AS flights, round(avg(delay), 1) AS average_delay, \
              max(delay) AS longest_delay, sum(delay >= 15) AS late_flights FROM flights WHERE {filters} GROUP BY origin",
        chart: None,
        title: "Average delay",
        answer: Answer::Sentence(
            "The {flights} flights from {airport} left {average_delay} minutes late on average; {late_flights} were at \
             least 15 minutes late, the worst {longest_delay}.",
        ),
    },
    Pattern {
        id: "delay_by_hour",
        about: "average delay over the hours of the day",
        examples: &["How do delays change by hour of day at ORD?", "Average delay by hour"],
        reads: "(how )?(average )?delays? (change |vary )?(by|per|with|over) hour( day)?",
        needs: &[],
        filters: &[ORIGIN, FLIGHT_MONTH],
        sql: "SELECT hour, round(avg(delay), 1) AS average_delay, count(*) AS flights FROM flights \
              WHERE {filters} GROUP BY hour ORDER BY hour",
        chart: Some(ChartKind::Line),
        title: "Average delay in minutes by hour",
        answer: Answer::Extremes { what: "minutes of average delay", point: "hour" },
    },
    Pattern {
        id: "delay_by_weekday",
        about: "average delay over the days of the week",
        examples: &[
            "What is the average delay by weekday at LAX?",
            "Which weekday has the worst delays?",
        ],
        reads: "(what )?(average )?delays? (by|per) (weekday|day week)|(which )?weekday (worst|longest) delays?",
        needs: &[],
        filters: &[ORIGIN, FLIGHT_MONTH],
        sql: "SELECT substr('SunMonTueWedThuFriSat', weekday * 3 + 1, 3) AS weekday, \
              round(avg(delay), 1) AS average_delay, count(*) AS flights FROM flights WHERE {filters} \
              GROUP BY flights.weekday ORDER BY flights.weekday",
        chart: Some(ChartKind::Bar),
        title: "Average delay in minutes by weekday",
        answer: Answer::Extremes { what: "minutes of average delay", point: "" },
    },
    Pattern {
        id: "flights_per_day",
        about: "flights on each day",
        examples: &[
            "How many flights per day leave from SFO?",
            "Flights per day from ATL in February",
        ],
        reads: "(how many )?(flights|departures)( leave)? (per|by|each|every) day( leave)?",
        needs: &[],
        filters: &[ORIGIN, FLIGHT_MONTH],
        sql: "SELECT day, count(*) AS flights FROM flights WHERE {filters} GROUP BY day ORDER BY day",
        chart: Some(ChartKind::Line),
        title: "Flights per day",
        answer: Answer::Extremes { what: "flights", point: "" },
    },
    Pattern {
        id: "flights_per_month",
        about: "flights in each month",
        examples: &["How many flights per month leave from PHX?", "Flights by month"],
        reads: "(how many )?(flights|departures)( leave)? (per|by|each|every) month( leave)?",
        needs: &[],
        filters: &[ORIGIN],
        sql: "SELECT substr('JanFebMar', month * 3 - 2, 3) AS month, count(*) AS flights FROM flights \
              WHERE {filters} GROUP BY flights.month ORDER BY flights.month",
        chart: Some(ChartKind::Bar),
        title: "Flights per month",
        answer: Answer::Extremes { what: "flights", point: "" },
    },
    Pattern {
        id: "busiest_routes",
        about: "routes by number of flights",
        examples: &[
            "What are the 8 busiest routes from DFW?",
            "Which routes have the most flights?",
        ],
        reads: "(which |what )?((busiest|most popular) routes|routes (busiest|most flights))",
        needs: &[],
        filters: &[ORIGIN, FLIGHT_MONTH],
        sql: "SELECT origin || ' → ' || destination AS route, count(*) AS flights, max(distance) AS miles FROM flights \
              WHERE {filters} GROUP BY origin, destination ORDER BY flights DESC, route LIMIT :count",
        chart: Some(ChartKind::Bar),
        title: "Busiest routes",
        answer: Answer::Ranking { what: "flights" },
    },
    Pattern {
        id: "longest_routes",
        about: "routes by distance",
        examples: &[
            "What are the longest routes from Honolulu?",
            "Which 5 routes are the longest?",
        ],
        reads: "(which |what )?(longest (routes|flights)|(routes|flights) longest)",
        needs: &[],
        filters: &[ORIGIN],
        sql: "SELECT origin || ' → ' || destination AS route, max(distance) AS miles, count(*) AS flights FROM flights \
              WHERE {filters} GROUP BY origin, destination ORDER BY miles DESC, route LIMIT :count",
        chart: Some(ChartKind::Bar),
        title: "Longest routes in miles",
        answer: Answer::Ranking { what: "miles" },
    },
    Pattern {
        id: "destinations",
        about: "where flights from an airport go",
        examples: &["Where do flights from Seattle go?", "Which destinations are served from STL?"],
        reads: "where flights go|where fly|(which |what )?destinations( served)?",
        needs: &[Slot::Airport],
        filters: &[ORIGIN, FLIGHT_MONTH],
        sql: "SELECT f.destination, f.flights, a.city || ', ' || a.state AS place FROM (SELECT destination, \
              count(*) AS flights FROM flights WHERE {filters} GROUP BY destination ORDER BY flights DESC, destination \
              LIMIT :count) f JOIN airports a ON a.iata = f.destination ORDER BY f.flights DESC, f.destination",
        chart: Some(ChartKind::Bar),
        title: "Destinations",
        answer: Answer::Ranking { what: "flights" },
    },
    Pattern {
        id: "delay_and_distance",
        about: "whether longer flights are later: 500 flights at most",
        examples: &["Does distance affect delay from MSP?", "Delay versus distance from JFK"],
        reads: "distance affect delays?|delays? (vs|versus|and|by|against) distance|delays? distance",
        needs: &[],
        filters: &[ORIGIN, FLIGHT_MONTH],
        sql: "SELECT distance, delay FROM flights WHERE {filters} ORDER BY id LIMIT 500",
        chart: Some(ChartKind::Scatter),
        title: "Delay in minutes over distance in miles",
        answer: Answer::Correlation,
    },
    Pattern {
        id: "delay_distribution",
        about: "how delays are distributed: 2,000 flights at most",
        examples: &[
            "What is the distribution of delays at ORD?",
            "Delay histogram for flights from LAS",
        ],
        reads: "(what )?distribution delays?|delays? (distribution|histogram)( for)?( flights)?|histogram delays?",
        needs: &[],
        filters: &[ORIGIN, FLIGHT_MONTH],
        sql: "SELECT delay FROM flights WHERE {filters} LIMIT 2000",
        chart: Some(ChartKind::Histogram),
        title: "Delays in minutes",
        answer: Answer::Distribution { what: "delay", unit: "minutes" },
    },
    Pattern {
        id: "on_time_share",
        about: "which part of the flights is on time",
        examples: &[
            "What share of flights from BOS is late?",
            "How many flights are on time at EWR?",
        ],
        reads: "(what |which )?(share|part|percentage|fraction) flights (late|delayed|on time)|how many flights (late|delayed|on time)|punctuality",
        needs: &[],
        filters: &[ORIGIN, FLIGHT_MONTH],
        sql: "SELECT CASE WHEN delay < 0 THEN 'early' WHEN delay < 15 THEN 'on time' WHEN delay < 60 THEN 'late' \
              ELSE 'an hour late or more' END AS punctuality, count(*) AS flights FROM flights WHERE {filters} \
              GROUP BY 1 ORDER BY flights DESC",
        chart: Some(ChartKind::Pie),
        title: "Punctuality",
        answer: Answer::Share { what: "flights" },
    },
    Pattern {
        id: "worst_days",
        about: "days by average delay",
        examples: &["Which days had the worst delays at PHL?", "What were the 5 worst days?"],
        reads: "(which |what )?(days? (worst|longest|highest) (average )?delays?|worst days?)",
        needs: &[],
        filters: &[ORIGIN, FLIGHT_MONTH],
        sql: "SELECT day, round(avg(delay), 1) AS average_delay, count(*) AS flights FROM flights WHERE {filters} \
              GROUP BY day ORDER BY average_delay DESC, day LIMIT :count",
        chart: Some(ChartKind::Bar),
        title: "Worst days: average delay in minutes",
        answer: Answer::Ranking { what: "minutes of average delay" },
    },
    Pattern {
        id: "flights_per_state",
        about: "departures by state",
        examples: &["How many flights per state?", "Which states have the most flights?"],
        reads: "(how many )?(flights|departures) (per|by) state|(which |what )?states most (flights|departures)",
        needs: &[],
        filters: &[FLIGHT_MONTH],
        sql: "SELECT a.state, sum(f.flights) AS flights FROM (SELECT origin, count(*) AS flights FROM flights \
              WHERE {filters} GROUP BY origin) f JOIN airports a ON a.iata = f.origin GROUP BY a.state \
              ORDER BY 2 DESC, 1 LIMIT :count",
        chart: Some(ChartKind::Bar),
        title: "Flights per state",
        answer: Answer::Ranking { what: "departures" },
    },
    Pattern {
        id: "airports_per_state",
        about: "states by number of airports",
        examples: &[
            "How many airports are there per state?",
            "Which 5 states have the most airports?",
        ],
        reads: "(how many )?airports (per|by) state|(which |what )?states most airports",
        needs: &[],
        filters: &[],
        sql: "SELECT state, count(*) AS airports FROM airports WHERE state <> 'NA' GROUP BY state \
              ORDER BY airports DESC, state LIMIT :count",
        chart: Some(ChartKind::Bar),
        title: "Airports per state",
        answer: Answer::Ranking { what: "airports" },
    },
    Pattern {
        id: "airports_in_state",
        about: "the number of airports in a state",
        examples: &["How many airports are in Texas?", "How many airports are there in AK?"],
        reads: "how many airports",
        needs: &[Slot::State],
        filters: &[(Slot::State, "state = :state_code")],
        sql: "SELECT state, count(*) AS airports, count(DISTINCT city) AS cities FROM airports WHERE {filters}",
        chart: None,
        title: "Airports",
        answer: Answer::Sentence("{state} has {airports} airports in {cities} cities."),
    },
    Pattern {
        id: "airport_location",
        about: "where an airport is",
        examples: &["Where is SFO?", "Where is LaGuardia?"],
        reads: "where",
        needs: &[Slot::Airport],
        filters: &[(Slot::Airport, "iata = :airport")],
        sql: "SELECT iata, name, city, state, round(latitude, 4) AS latitude, round(longitude, 4) AS longitude \
              FROM airports WHERE {filters}",
        chart: None,
        title: "Location",
        answer: Answer::Sentence(
            "{iata} is {name} in {city}, {state}, at latitude {latitude} and longitude {longitude}.",
        ),
    },
    Pattern {
        id: "strikes_per_year",
        about: "wildlife strikes in each year",
        examples: &["How many bird strikes per year in California?", "Bird strikes by year"],
        reads: "(how many )?(bird ?|wildlife )?strikes (per|by|each|every) year",
        needs: &[],
        filters: &[STRIKE_STATE],
        sql: "SELECT year, count(*) AS strikes FROM birdstrikes WHERE {filters} GROUP BY year ORDER BY year",
        chart: Some(ChartKind::Line),
        title: "Bird strikes per year",
        answer: Answer::Extremes { what: "strikes", point: "" },
    },
    Pattern {
        id: "strikes_per_month",
        about: "wildlife strikes over the months of the year",
        examples: &[
            "In which months do bird strikes happen in Texas?",
            "Bird strikes by month in 1999",
        ],
        reads: "(how many )?(bird ?|wildlife )?strikes (per|by|each|every) month|(in )?(which|what) months? (bird ?|wildlife )?strikes (happen|occur)",
        needs: &[],
        filters: &[STRIKE_STATE, STRIKE_YEAR],
        sql: "SELECT substr('JanFebMarAprMayJunJulAugSepOctNovDec', month * 3 - 2, 3) AS month, count(*) AS strikes \
              FROM birdstrikes WHERE {filters} GROUP BY birdstrikes.month ORDER BY birdstrikes.month",
        chart: Some(ChartKind::Bar),
        title: "Bird strikes per month",
        answer: Answer::Extremes { what: "strikes", point: "" },
    },
    Pattern {
        id: "strikes_by_species",
        about: "species by number of strikes",
        examples: &[
            "Which species cause the most bird strikes in Florida?",
            "Top 5 species in 1998",
        ],
        reads: "(which |what )?species( (cause|causes|in) most (bird ?|wildlife )?strikes| hit most often)?|(bird ?|wildlife )?strikes by species",
        needs: &[],
        filters: STRIKES,
        sql: "SELECT species, count(*) AS strikes FROM birdstrikes WHERE {filters} AND species NOT LIKE 'Unknown%' \
              GROUP BY species ORDER BY strikes DESC, species LIMIT :count",
        chart: Some(ChartKind::Bar),
        title: "Bird strikes by species",
        answer: Answer::Ranking { what: "strikes" },
    },
    Pattern {
        id: "strikes_by_phase",
        about: "phases of flight by number of strikes",
        examples: &[
            "In which phase of flight do bird strikes happen?",
            "Bird strikes by phase in Tennessee",
        ],
        reads: "(in )?(which |what )?phases? (flight )?(bird ?|wildlife )?strikes (happen|occur)|(bird ?|wildlife )?strikes by phase( flight)?",
        needs: &[],
        filters: STRIKES,
        sql: "SELECT phase, count(*) AS strikes FROM birdstrikes WHERE {filters} GROUP BY phase \
              ORDER BY strikes DESC, phase",
        chart: Some(ChartKind::Pie),
        title: "Bird strikes by phase of flight",
        answer: Answer::Share { what: "strikes" },
    },
    Pattern {
        id: "strikes_by_time_of_day",
        about: "times of day by number of strikes",
        examples: &[
            "At what time of day do bird strikes happen?",
            "Bird strikes by time of day in Illinois",
        ],
        reads: "(at )?(which |what )?time day (bird ?|wildlife )?strikes (happen|occur)|(bird ?|wildlife )?strikes by time day",
        needs: &[],
        filters: STRIKES,
        sql: "SELECT time_of_day, count(*) AS strikes FROM birdstrikes WHERE {filters} GROUP BY time_of_day \
              ORDER BY strikes DESC",
        chart: Some(ChartKind::Pie),
        title: "Bird strikes by time of day",
        answer: Answer::Share { what: "strikes" },
    },
    Pattern {
        id: "strikes_by_airline",
        about: "operators by number of strikes",
        examples: &[
            "Which airlines have the most bird strikes?",
            "Bird strikes by airline in Kentucky",
        ],
        reads: "(which |what )?(airlines|operators) most (bird ?|wildlife )?strikes|(bird ?|wildlife )?strikes by (airline|operator)",
        needs: &[],
        filters: STRIKES,
        sql: "SELECT operator, count(*) AS strikes, sum(cost_total) AS cost FROM birdstrikes WHERE {filters} \
              GROUP BY operator ORDER BY strikes DESC, operator LIMIT :count",
        chart: Some(ChartKind::Bar),
        title: "Bird strikes by airline",
        answer: Answer::Ranking { what: "strikes" },
    },
    Pattern {
        id: "strikes_by_airport",
        about: "airports by number of strikes",
        examples: &[
            "Which airports have the most bird strikes in Ohio?",
            "Bird strikes by airport in 1997",
        ],
        reads: "(which |what )?airports most (bird ?|wildlife )?strikes|(bird ?|wildlife )?strikes by airport",
        needs: &[],
        filters: STRIKES,
        sql: "SELECT airport, count(*) AS strikes FROM birdstrikes WHERE {filters} GROUP BY airport \
              ORDER BY strikes DESC, airport LIMIT :count",
        chart: Some(ChartKind::Bar),
        title: "Bird strikes by airport",
        answer: Answer::Ranking { what: "strikes" },
    },
    Pattern {
        id: "strikes_by_damage",
        about: "how badly aircraft were damaged, undamaged ones apart",
        examples: &[
            "How bad is the damage of bird strikes?",
            "Bird strikes by damage in Louisiana",
        ],
        reads: "how (bad|severe) damage( (from|by) )?( ?(bird ?|wildlife )?strikes)?|(bird ?|wildlife )?strikes by damage",
        needs: &[],
        filters: STRIKES,
        sql: "SELECT damage, count(*) AS strikes FROM birdstrikes WHERE {filters} AND damage <> 'None' \
              GROUP BY damage ORDER BY strikes DESC, damage",
        chart: Some(ChartKind::Pie),
        title: "Bird strikes with damage",
        answer: Answer::Share { what: "strikes with damage" },
    },
    Pattern {
        id: "costliest_strikes",
        about: "single strikes by their cost",
        examples: &[
            "What were the 5 costliest bird strikes?",
            "Most expensive bird strikes in Texas",
        ],
        reads: "(which |what )?(costliest|most (expensive|costly)) (bird ?|wildlife )?strikes",
        needs: &[],
        filters: STRIKES,
        sql: "SELECT operator || ' ' || date AS strike, cost_total AS cost, species, aircraft, airport FROM birdstrikes \
              WHERE {filters} AND cost_total > 0 ORDER BY cost_total DESC, id LIMIT :count",
        chart: Some(ChartKind::Bar),
        title: "Costliest bird strikes in US dollars",
        answer: Answer::Ranking { what: "US dollars" },
    },
    Pattern {
        id: "strike_cost_per_year",
        about: "the cost of strikes in each year",
        examples: &[
            "How much do bird strikes cost per year?",
            "Cost of bird strikes by year in Colorado",
        ],
        reads: "(how much )?(bird ?|wildlife )?strikes cost (per|by|each|every) year|cost (bird ?|wildlife )?strikes (per|by) year",
        needs: &[],
        filters: &[STRIKE_STATE],
        sql: "SELECT year, sum(cost_total) AS cost, count(*) AS strikes FROM birdstrikes WHERE {filters} \
              GROUP BY year ORDER BY year",
        chart: Some(ChartKind::Line),
        title: "Cost of bird strikes in US dollars",
        answer: Answer::Extremes { what: "US dollars", point: "" },
    },
    Pattern {
        id: "strike_speed",
        about: "at what speed strikes happen: 2,000 strikes at most",
        examples: &[
            "At what speed do bird strikes happen?",
            "Distribution of strike speeds in New York",
        ],
        reads: "(at )?(what |which )?speeds? (bird ?|wildlife )?strikes (happen|occur)|distribution (bird ?)?strike speeds?",
        needs: &[],
        filters: STRIKES,
        sql: "SELECT speed FROM birdstrikes WHERE {filters} AND speed IS NOT NULL LIMIT 2000",
        chart: Some(ChartKind::Histogram),
        title: "Speed at the strike in knots",
        answer: Answer::Distribution { what: "speed", unit: "knots" },
    },
    Pattern {
        id: "strikes_total",
        about: "how many strikes were reported, with their cost",
        examples: &[
            "How many bird strikes were there in Hawaii?",
            "How many bird strikes in 1996?",
        ],
        reads: "how many (bird ?|wildlife )?strikes( reported| happened)?",
        needs: &[],
        filters: STRIKES,
        sql: "SELECT count(*) AS strikes, sum(damage <> 'None') AS with_damage, coalesce(sum(cost_total), 0) AS cost \
              FROM birdstrikes WHERE {filters}",
        chart: None,
        title: "Bird strikes",
        answer: Answer::Sentence(
            "{strikes} strikes were reported, {with_damage} of them with damage; they cost {cost} US dollars.",
        ),
    },
];
